"""Which resources are watched, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.host import watches
from only1mcp.host.watches import Watches

WORKER, OTHER = object(), object()
"""Links to workers, as far as holders know of them."""


def test_a_resource_is_watched_from_its_first_holder_to_its_last() -> None:
    """Sessions and streams count alike, each once."""
    subject = Watches()
    assert subject.add("r://1", 7)
    assert not subject.add("r://1", 7)
    assert not subject.add("r://1", (WORKER, 3))
    assert subject.uris == ["r://1"]
    assert not subject.remove("r://1", 7)
    assert not subject.remove("r://1", 7)
    assert subject.remove("r://1", (WORKER, 3))
    assert not subject.remove("r://1", (WORKER, 3))
    assert subject.uris == []


def test_who_never_watched_takes_nothing_back() -> None:
    """Neither of a watched resource nor of another."""
    subject = Watches()
    subject.add("r://1", 7)
    assert not subject.remove("r://1", 8)
    assert not subject.remove("r://2", 7)
    assert subject.holders("r://1") == {7}


def test_a_resource_is_watched_by_who_watches_what_it_is_a_part_of() -> None:
    """And by its own watchers, each once."""
    subject = Watches()
    subject.add("r://1", 7)
    subject.add("r://1/part", 8)
    subject.add("r://1/part", 7)
    subject.add("s://1", 9)
    assert subject.holders("r://1/part") == {7, 8}
    assert subject.holders("r://1") == {7}
    assert subject.holders("x://") == set()


def test_the_streams_of_a_worker_go_with_it() -> None:
    """Sessions stay: another worker may serve them."""
    subject = Watches()
    for uri in ("r://1", "r://2", "r://3"):
        subject.add(uri, (WORKER, 1))
        subject.add(uri, (WORKER, 2))
    subject.add("r://1", 7)
    subject.add("r://2", (OTHER, 1))
    assert subject.drop_link(WORKER) == ["r://3"]
    assert subject.drop_link(WORKER) == []
    assert subject.holders("r://1") == {7}
    assert subject.holders("r://2") == {(OTHER, 1)}
    assert subject.drop({7, 8}) == ["r://1"]


def test_what_cannot_be_told_now_is_noted() -> None:
    """For when the server is back."""
    subject = Watches()
    subject.note("resources/subscribe", "r://1", 7)
    subject.note("resources/subscribe", "r://2", 7)
    subject.note("resources/unsubscribe", "r://1", 7)
    subject.note("resources/unsubscribe", "r://9", 7)
    assert subject.uris == ["r://2"]


def test_the_watched_resources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is watched no longer makes room."""
    monkeypatch.setattr(watches, "MAX_WATCHED", 2)
    subject = Watches()
    for uri in ("r://1", "r://2", "r://3"):
        subject.note("resources/subscribe", uri, 7)
    assert subject.full
    assert subject.uris == ["r://1", "r://2"]
    subject.remove("r://1", 7)
    assert not subject.full


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(1, 3)), max_size=30))
def test_it_is_said_exactly_when_the_first_comes_and_when_the_last_has_gone(
    steps: list[tuple[bool, str, int]],
) -> None:
    """Whatever the order: upstream is told each change once."""
    subject, upstream = Watches(), set[str]()
    expected: dict[str, set[int]] = {"a": set(), "b": set()}
    for is_add, uri, holder in steps:
        if is_add:
            expected[uri].add(holder)
            if subject.add(uri, holder):
                assert uri not in upstream
                upstream.add(uri)
        else:
            expected[uri].discard(holder)
            if subject.remove(uri, holder):
                upstream.remove(uri)
        assert upstream == {uri for uri, holders in expected.items() if holders}
        assert set(subject.uris) == upstream


def test_each_holder_s_resources_are_counted() -> None:
    """Whatever comes twice, or goes that never was."""
    subject, heir = Watches(), Watches()
    for uri in ("r://1", "r://1", "r://2"):
        subject.add(uri, 7)
    subject.add("r://1", 8)
    heir.inherit(subject.everything)
    assert (heir.count(7), heir.count(8), heir.count(9)) == (2, 1, 0)
    assert [subject.has(uri, 8) for uri in ("r://1", "r://2", "r://3")] == [True, False, False]
    subject.remove("r://2", 7)
    subject.remove("r://2", 7)
    subject.drop({8})
    assert (subject.count(7), subject.count(8)) == (1, 0)
