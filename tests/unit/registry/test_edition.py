"""The current snapshot of a process, and those who wait for the first whole one."""

import logging
from functools import partial

import pytest

from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.registry.collisions import FEW
from only1mcp.registry.edition import Edition
from only1mcp.registry.registry import Registry
from tests.support.catalogues import catalogue, server


def edition(*server_ids: str) -> Edition:
    """Return an edition of servers without prefixes."""
    return Edition(Registry(server(one, "") for one in server_ids), 100)


def test_each_change_makes_a_new_snapshot_and_leaves_the_old_one_whole() -> None:
    """Requests under way go on with theirs."""
    subject = edition("a", "b")
    before = subject.current
    subject.update(catalogue("b", tools="x"))
    subject.update(catalogue("a", tools="y"))
    assert (len(before.tools), before.version) == (0, 0)
    assert (list(subject.current.tools), subject.current.version) == (["y", "x"], 2)
    subject.update(catalogue("b", tools=""))
    assert list(subject.current.tools) == ["y"]


def test_whoever_waits_is_called_once_when_all_is_settled() -> None:
    """And not at all if it no longer waits."""
    subject = edition("a")
    called: list[str] = []
    subject.when_known(lambda: called.append("stays"))
    forget = subject.when_known(lambda: called.append("leaves"))
    forget()
    forget()
    states = [subject.settled]
    subject.settle()
    subject.settle()
    assert [*states, subject.settled] == [False, True]
    assert called == ["stays"]
    forget()


def test_a_collision_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not again with every later change."""
    subject = edition("a", "b")
    with caplog.at_level(logging.WARNING, "only1mcp"):
        for _ in range(3):
            subject.update(catalogue("a", tools="x"))
            subject.update(catalogue("b", tools="x"))
    assert [record.getMessage() for record in caplog.records] == [
        "name collision: tool 'x' of 'b' is served as 'b__x': 'a' has the name"
    ]


def test_many_collisions_are_summed_up_when_all_servers_have_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And after that with each change."""
    subject, names = edition(*"abcd"), " ".join(f"t{number}" for number in range(9))
    with caplog.at_level(logging.WARNING, "only1mcp"):
        for one in "abc":
            subject.update(catalogue(one, tools=names))
        assert len(caplog.records) == FEW
        subject.settle()
        subject.update(catalogue("d", tools=names))
    sums = [one.getMessage() for one in caplog.records if "more name" in one.getMessage()]
    assert [text.partition(" name")[0] for text in sums] == [
        f"and {18 - FEW} more", f"and {9 - FEW} more",
    ]  # fmt: skip
    assert len(caplog.records) == 2 * FEW + 2


def test_what_differs_is_said_of_those_who_see_it() -> None:
    """A variant is compared with what such clients saw before it, the common offer with itself."""
    subject, form = edition("a"), Feature.ELICIT_FORM
    legacy = partial(catalogue, eras=frozenset({Era.LEGACY}))
    assert subject.update(legacy("a", tools="x", prompts="p")) == {"tools", "prompts"}
    assert subject.update(legacy("a", tools="x")) == {"prompts"}
    assert not subject.has_variant(form, "a")
    assert subject.update_variant(form, legacy("a", tools="x")) == frozenset()
    assert subject.update_variant(form, legacy("a", tools="x ask")) == {"tools"}
    assert subject.update(legacy("a", tools="x")) == frozenset()
    assert (subject.has_variant(form, "a"), subject.has_variant(form, "b")) == (True, False)


def test_a_server_that_comes_to_speak_both_eras_offers_the_same_to_all() -> None:
    """Else modern clients would be bridged to the era in which it was listed for some."""
    subject, legacy = edition("a"), frozenset({Era.LEGACY})
    subject.update(catalogue("a", tools="x", eras=legacy))
    subject.update_variant(Feature.ROOTS, catalogue("a", tools="x y", eras=legacy))
    assert list(subject.snapshot(Feature.ROOTS).tools) == ["x", "y"]
    subject.update(catalogue("a", tools="x", eras=frozenset(Era)))
    assert list(subject.snapshot(Feature.ROOTS).tools) == ["x"]
    assert Era.MODERN in subject.snapshot(Feature.ROOTS).catalogues["a"].eras
    assert not subject.has_variant(Feature.ROOTS, "a")


def test_other_servers_are_merged_and_what_is_known_of_those_that_stay_is_kept() -> None:
    """One whose offer came before it was followed is told of then; one that went leaves nothing."""
    subject, form = edition("a", "b"), Feature.ELICIT_FORM
    subject.update(catalogue("a", tools="x"))
    subject.update(catalogue("b", tools="y"))
    subject.update_variant(form, catalogue("a", tools="z"))
    assert not subject.update(catalogue("c", tools="w"))
    assert list(subject.current.tools) == ["x", "y"]
    assert subject.follow(Registry(server(one, "") for one in ("c", "b")), 1) == {"tools"}
    assert list(subject.current.tools) == list(subject.snapshot(form).tools) == ["w", "y"]
    assert not subject.follow(Registry([server("b", "")]), 1)
    assert subject.follow(Registry(server(one, "") for one in ("a", "b")), 1) == frozenset()
    assert list(subject.current.tools) == ["y"]
