"""A coroutine that waits for a call."""

import asyncio

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import (
    Cancel,
    FutureSink,
    Outgoing,
    PassingSink,
    ReplySink,
    ask,
    refusal,
    refuse,
)
from only1mcp.errors import BackendLost
from only1mcp.protocol.versions import Era
from tests.support.loop import on_loop
from tests.support.sink import Sink

REPLY = b'{"jsonrpc":"2.0","id":1,"result":{}}'
REQUEST = Outgoing("tools/list", b"", Era.LEGACY)


class Server:
    """Answers when the test says."""

    def __init__(self) -> None:
        self.sinks: list[ReplySink] = []
        self.abandoned = 0

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a request."""
        assert outgoing is REQUEST
        self.sinks.append(sink)
        return self._abandon

    def _abandon(self) -> None:
        self.abandoned += 1


@on_loop
async def test_the_waiter_gets_what_comes_first() -> None:
    """A response or a failure; what comes later is dropped."""
    sink = FutureSink()
    sink.on_reply(scan(REPLY))
    sink.on_failure(BackendLost("late"))
    sink.on_reply(scan(REPLY))
    assert (await sink.wait(1.0)).body == REPLY
    failing = FutureSink()
    failing.on_failure(BackendLost("first"))
    failing.on_reply(scan(REPLY))
    failing.on_failure(BackendLost("second"))
    with pytest.raises(BackendLost, match="first"):
        await failing.wait(1.0)


@on_loop
async def test_a_waiter_does_not_wait_for_ever() -> None:
    """A reply after that reaches nobody."""
    sink = FutureSink()
    with pytest.raises(TimeoutError):
        await sink.wait(0.01)
    sink.on_reply(scan(REPLY))
    sink.on_failure(BackendLost("late"))


@on_loop
async def test_a_waiter_can_be_cancelled() -> None:
    """As any coroutine."""
    sink = FutureSink()
    task = asyncio.get_running_loop().create_task(sink.wait(30.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("method", ["ping", "roots/list", "sampling/createMessage", "unheard/of"])
def test_where_there_is_no_client_only_a_ping_is_answered(method: str) -> None:
    """All else is refused by name, also by who waits for a call of ours."""
    question = scan(b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % method.encode())
    said: list[bytes] = []
    refuse(question, said.append)
    assert said == [refusal(question)]
    if method == "ping":
        assert said == [b'"result":{}']
    else:
        assert b'"code":-32601' in said[0]
        assert method.encode() in said[0]


@on_loop
async def test_a_waiter_for_a_call_of_ours_answers_for_a_client_that_is_not_there() -> None:
    """What comes before the response does not end its wait."""
    sink, said = FutureSink(), list[bytes]()
    sink.on_message(scan(b'{"jsonrpc":"2.0","method":"notifications/progress"}'))
    sink.on_request(scan(b'{"jsonrpc":"2.0","id":1,"method":"ping"}'), said.append)
    sink.on_reply(scan(REPLY))
    assert said == [b'"result":{}']
    assert (await sink.wait(None)).body == REPLY


@on_loop
async def test_who_asks_gets_the_answer_and_abandons_nothing() -> None:
    """A response or a failure ends the call by itself."""
    server, loop = Server(), asyncio.get_running_loop()
    tasks = [loop.create_task(ask(server.call, REQUEST)) for _ in range(2)]
    await asyncio.sleep(0)
    server.sinks[0].on_reply(scan(REPLY))
    server.sinks[1].on_failure(BackendLost("gone"))
    assert (await tasks[0]).body == REPLY
    with pytest.raises(BackendLost, match="gone"):
        await tasks[1]
    assert server.abandoned == 0


@on_loop
async def test_who_asks_and_waits_no_more_abandons_the_call() -> None:
    """The server need not go on for nobody."""
    server = Server()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask(server.call, REQUEST)
    assert (len(server.sinks), server.abandoned) == (1, 1)


class Between(PassingSink):
    """Changes nothing."""

    def __init__(self, sink: ReplySink) -> None:
        self.sink = sink


def test_a_sink_between_passes_on_whatever_it_hears() -> None:
    """Those that derive from it change what they must, and no more."""
    own, said = Sink(), list[bytes]()
    between = Between(own)
    notice = scan(b'{"jsonrpc":"2.0","method":"notifications/progress"}')
    question = scan(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    between.on_message(notice)
    between.on_request(question, said.append)
    reply, lost = scan(REPLY), BackendLost("gone")
    between.on_reply(reply)
    between.on_failure(lost)
    assert own.messages == [notice]
    ((asked, respond),) = own.questions
    respond(b"yes")
    assert (asked, said, own.heard) == (question, [b"yes"], [reply, lost])
