"""One for each turn of the event loop."""

import asyncio
from functools import partial

from only1mcp.ingress.turnstile import Turnstile
from tests.support.loop import on_loop


@on_loop
async def test_the_first_begins_at_once_and_the_others_one_by_one() -> None:
    """In the order in which they came, with other work in between."""
    turnstile, begun = Turnstile(), list[int]()
    for number in range(4):
        turnstile.enter(partial(begun.append, number))
    seen = []
    for _ in range(6):
        seen.append(len(begun))
        await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3]
    assert seen == [1, 2, 3, 4, 4, 4]


@on_loop
async def test_who_comes_later_alone_does_not_wait() -> None:
    """The turnstile is open again after a turn in which nobody came."""
    turnstile, begun = Turnstile(), list[str]()
    turnstile.enter(partial(begun.append, "first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turnstile.enter(partial(begun.append, "second"))
    assert begun == ["first", "second"]


@on_loop
async def test_one_that_fails_keeps_nobody_from_beginning() -> None:
    """The loop is told of it."""
    turnstile, begun, told = Turnstile(), list[str](), list[str]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(repr(context["exception"]))
    )
    turnstile.enter(partial(begun.append, "first"))
    turnstile.enter(partial(list[str]().remove, "none"))
    turnstile.enter(partial(begun.append, "last"))
    for _ in range(4):
        await asyncio.sleep(0)
    assert begun == ["first", "last"]
    assert len(told) == 1
