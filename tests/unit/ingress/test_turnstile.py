"""As many in each turn of the event loop as its share of the time allows."""

import asyncio
from functools import partial

import pytest

from only1mcp.ingress import turnstile
from only1mcp.ingress.turnstile import Turnstile
from tests.support.loop import on_loop


@pytest.fixture(autouse=True)
def _one_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each take all the time that there is in a turn."""
    monkeypatch.setattr(turnstile, "SHARE_S", 0.0)


@on_loop
async def test_the_first_begins_at_once_and_the_others_one_by_one() -> None:
    """In the order in which they came, with other work in between."""
    subject, begun = Turnstile(), list[int]()
    for number in range(4):
        subject.enter(partial(begun.append, number))
    seen = []
    for _ in range(6):
        seen.append(len(begun))
        await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3]
    assert seen == [1, 2, 3, 4, 4, 4]


@on_loop
async def test_who_comes_later_alone_does_not_wait() -> None:
    """The turnstile is open again after a turn in which nobody came."""
    subject, begun = Turnstile(), list[str]()
    subject.enter(partial(begun.append, "first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    subject.enter(partial(begun.append, "second"))
    assert begun == ["first", "second"]


@on_loop
async def test_one_that_fails_keeps_nobody_from_beginning() -> None:
    """The loop is told of it."""
    subject, begun, told = Turnstile(), list[str](), list[str]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(repr(context["exception"]))
    )
    subject.enter(partial(begun.append, "first"))
    subject.enter(partial(list[str]().remove, "none"))
    subject.enter(partial(begun.append, "last"))
    for _ in range(4):
        await asyncio.sleep(0)
    assert begun == ["first", "last"]
    assert len(told) == 1


@pytest.mark.parametrize("name", ["SHARE_S", "PATIENCE_S"])
@on_loop
async def test_as_many_begin_in_a_turn_as_there_is_time_for_or_patience(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are quick, and those that have waited for long."""
    monkeypatch.setattr(turnstile, name, 60.0 if name == "SHARE_S" else -1.0)
    subject, begun = Turnstile(), list[int]()
    for number in range(4):
        subject.enter(partial(begun.append, number))
    assert begun == [0]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3]


@on_loop
async def test_nobody_begins_once_it_is_closed() -> None:
    """Neither who waits, nor who comes."""
    subject, begun = Turnstile(), list[int]()
    for number in range(3):
        subject.enter(partial(begun.append, number))
    subject.close()
    subject.enter(partial(begun.append, 3))
    for _ in range(4):
        await asyncio.sleep(0)
    assert begun == [0]
