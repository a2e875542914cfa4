"""Where calls wait for their turn at a server."""

import asyncio

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, FutureSink, Outgoing, ReplySink
from only1mcp.backends.line import Line
from only1mcp.errors import BackendLost, Overloaded
from only1mcp.protocol.versions import Era
from tests.support.loop import on_loop

CALL = Outgoing("tools/call", b'{"name":"x"}', Era.MODERN, "x")


class Held:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.sinks: list[ReplySink] = []
        self.cancelled: list[int] = []
        self.closed = False

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a call."""
        del outgoing
        number = len(self.sinks)
        self.sinks.append(sink)
        return lambda: self.cancelled.append(number)

    async def close(self) -> None:
        """Be closed."""
        self.closed = True


def reply(number: int) -> Envelope:
    """Return an answer."""
    return scan(b'{"jsonrpc":"2.0","id":%d,"result":{}}' % number)


def line(limit: int = 2, patience_s: float = 60.0) -> tuple[Held, Line]:
    """Return a line and what stands behind it."""
    held = Held()
    return held, Line("srv", held, limit, patience_s)


@on_loop
async def test_so_many_calls_pass_and_the_others_follow_in_order() -> None:
    """Each when one before it has ended, whether well or not."""
    held, queue = line()
    sinks = [FutureSink() for _ in range(4)]
    for sink in sinks:
        queue.call(CALL, sink)
    assert len(held.sinks) == 2
    held.sinks[1].on_reply(reply(7))
    assert (await sinks[1].wait(1)).id == b"7"
    assert len(held.sinks) == 3
    held.sinks[0].on_failure(BackendLost("gone"))
    with pytest.raises(BackendLost):
        await sinks[0].wait(1)
    assert len(held.sinks) == 4
    held.sinks[2].on_reply(reply(8))
    assert (await sinks[2].wait(1)).id == b"8"


@on_loop
async def test_when_one_has_waited_too_long_further_ones_are_refused() -> None:
    """And only while it waits."""
    held, queue = line(limit=1, patience_s=0.0)
    first, second, third, fourth = (FutureSink() for _ in range(4))
    queue.call(CALL, first)
    queue.call(CALL, second)
    queue.call(CALL, third)
    with pytest.raises(Overloaded) as refused:
        await third.wait(1)
    assert "srv" in str(refused.value)
    assert dict(refused.value.headers) == {"Retry-After": "1"}
    held.sinks[0].on_reply(reply(1))
    held.sinks[1].on_reply(reply(2))
    assert (await second.wait(1)).id == b"2"
    queue.call(CALL, fourth)
    held.sinks[2].on_reply(reply(4))
    assert (await fourth.wait(1)).id == b"4"


@on_loop
async def test_who_leaves_makes_room() -> None:
    """A call under way is cancelled; one that waits is never sent."""
    held, queue = line(limit=1)
    leave = [queue.call(CALL, FutureSink()) for _ in range(3)]
    leave[1]()
    leave[0]()
    assert (held.cancelled, len(held.sinks)) == ([0], 2)
    leave[2]()
    assert held.cancelled == [0, 1]
    queue.call(CALL, FutureSink())
    assert len(held.sinks) == 3
    leave[2]()  # it has ended, and its place is another's
    queue.call(CALL, FutureSink())
    assert len(held.sinks) == 3


@on_loop
async def test_what_comes_before_an_answer_passes_through() -> None:
    """Messages and questions; and the way behind is closed with the line."""
    held, queue = line()
    seen: list[str | None] = []

    class Sink(FutureSink):
        def on_message(self, message: Envelope) -> None:
            seen.append(message.method)

    queue.call(CALL, Sink())
    held.sinks[0].on_message(scan(b'{"jsonrpc":"2.0","method":"notifications/message"}'))
    answers: list[bytes] = []
    held.sinks[0].on_request(
        scan(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}'), answers.append
    )
    await asyncio.sleep(0)
    await queue.close()
    assert (seen, len(answers), held.closed) == (["notifications/message"], 1, True)
