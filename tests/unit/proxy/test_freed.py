"""What is left of a call once it has ended: nothing, and nothing for the garbage collector."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from only1mcp.errors import BackendLost
from only1mcp.protocol.versions import Era
from tests.support.asking import ALL, CALL, META, askable_desk
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop
from tests.support.told import Told

ENDS = ("answer", "failure", "leave", "question")


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize("end", ENDS)
@on_loop
async def test_a_call_that_has_ended_is_freed_without_the_collector(era: Era, end: str) -> None:
    """What holds itself piles up until it is collected, which costs each call its share."""
    desk = askable_desk()
    with _no_collector():
        told = weakref.ref(_call(desk, era, end))
        await asyncio.sleep(0)  # the loop lets go of what it has run
        assert told() is None


def _call(desk: Desk, era: Era, end: str) -> Told:
    """Make a call and bring it to its end; return what its client was told."""
    if era is Era.MODERN:
        told = desk.modern("tools/call", {**CALL, "_meta": META})
    else:
        told = desk.legacy("tools/call", CALL, desk.session(ALL))
    server = desk.hosted["a"]
    if end == "leave":
        told.cancel()
        assert server.calls[0].cancelled
    elif end == "failure":
        server.answer(BackendLost("gone"))
    else:
        if end == "question":
            server.ask("roots/list")
        server.answer(tool_result("y"))
    assert len(told.answers) == (end != "leave")
    told.cancel = _nothing  # a connection lets go of it with the end as well
    server.calls.clear()
    return told


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _nothing() -> None:
    """There is nothing to cancel."""
