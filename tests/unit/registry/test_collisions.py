"""What is said of names that collide."""

import logging
from collections.abc import Callable

import pytest

from only1mcp.registry.collisions import FEW, CollisionLog


def test_of_many_collisions_the_first_few_are_told_and_the_others_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On each occasion anew; who sums up where all was told says nothing."""
    subject = CollisionLog(lambda _: True)
    names = [f"tool {number}" for number in range(FEW + 7)]
    with caplog.at_level(logging.WARNING, "only1mcp"):
        subject.tell(names[:2])
        subject.tell(names[2:])
        subject.sum_up()
        subject.tell(["tool x"])
        subject.sum_up()
    *few, more, another = [record.getMessage() for record in caplog.records]
    assert few == [f"name collision: {name}" for name in names[:FEW]]
    assert more.startswith("and 7 more name collisions: `only1mcp tools list` shows")
    assert another == "name collision: tool x"


def test_collisions_that_are_not_told_can_be_read_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At log level debug."""
    names = [f"tool {number}" for number in range(FEW + 2)]
    with caplog.at_level(logging.DEBUG, "only1mcp"):
        CollisionLog(lambda _: True).tell(names)
    assert [record.getMessage() for record in caplog.records] == [
        f"name collision: {name}" for name in names
    ]


def shared() -> Callable[[str], bool]:
    """Return what says of a text whether it is the first time."""
    told: set[str] = set()

    def is_news(text: str) -> bool:
        return text not in told and not told.add(text)  # type: ignore[func-returns-value]

    return is_news


def test_what_another_process_has_told_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the few nor their sum; another sum is."""
    is_news = shared()
    with caplog.at_level(logging.WARNING, "only1mcp"):
        for count in (FEW + 1, FEW + 1, FEW + 2):
            subject = CollisionLog(is_news)
            subject.tell(f"tool {number}" for number in range(count))
            subject.sum_up()
    assert [record.getMessage()[:10] for record in caplog.records] == [
        *["name colli"] * FEW, "and 1 more", "and 2 more",
    ]  # fmt: skip


def test_as_many_others_are_summed_up_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """A second server like the first brings the same number of collisions."""
    subject = CollisionLog(shared())
    with caplog.at_level(logging.WARNING, "only1mcp"):
        for server in ("one", "other"):
            subject.tell(f"{server} {number}" for number in range(FEW + 1))
            subject.sum_up()
    assert [record.getMessage()[:10] for record in caplog.records] == [
        *["name colli"] * FEW, "and 1 more",
    ] * 2  # fmt: skip
