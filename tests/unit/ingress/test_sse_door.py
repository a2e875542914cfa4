"""MCP over HTTP+SSE: the stream, the address for messages, and whose worker they belong to."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from only1mcp.ingress import sse_door
from only1mcp.proxy.exchange import Answer
from tests.support.door import JSON, STREAM, send
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy, modern, notification
from tests.support.ways import Ways
from tests.support.wire import Reply, Wire


class Stream(Wire):
    """An open stream."""

    async def begin(self) -> str:
        """Open it; returns the address to post to."""
        await self.send(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n" + STREAM + b"\r\n\r\n")
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"text/event-stream" in head
        kind, address = await self.event()
        assert kind == "endpoint"
        return address

    async def event(self) -> tuple[str, str]:
        """Read one event: its kind and its data."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        event = (await self.reader.readexactly(size + 2)).decode()
        kind, data = event.strip().split("\n")
        return kind.removeprefix("event: "), data.removeprefix("data: ")


@asynccontextmanager
async def opened(ways: Ways) -> AsyncIterator[tuple[Stream, Wire, str]]:
    """A stream, a connection to post on, and the address."""
    async with ways.open() as port, Stream(port) as stream, Wire(port) as wire:
        yield stream, wire, await stream.begin()


async def post(wire: Wire, address: str, body: bytes) -> Reply:
    """Post a message."""
    return await send(wire, "POST", address, JSON, body=body)


@on_loop
async def test_a_posted_message_is_taken_and_answered_on_the_stream() -> None:
    """The address is of this stream alone, and names the worker."""
    ways = Ways()
    async with opened(ways) as (stream, wire, address):
        assert re.fullmatch(r"/messages\?session=1\.0-[0-9a-f]{32}", address)
        reply = await post(wire, address, modern("tools/list"))
        assert (reply.status, reply.body) == (202, b"")
        assert await stream.event() == ("message", '{"ok":true}')
    assert ways.service.requests[0].body == modern("tools/list")


@on_loop
async def test_each_stream_has_an_address_of_its_own() -> None:
    """What is posted to one is not answered on another."""
    ways = Ways()
    async with opened(ways) as (first, wire, one), Stream(wire.port) as second:
        other = await second.begin()
        assert one != other
        await post(wire, other, modern("tools/list"))
        assert await second.event() == ("message", '{"ok":true}')
        await post(wire, one, b"{")
        assert (await first.event())[1] == '{"ok":true}'


@pytest.mark.parametrize(
    "address", ["/messages", "/messages?session=", "/messages?session=1.0-0", "/messages?x=y"]
)
@on_loop
async def test_an_unknown_address_is_404(address: str) -> None:
    """With an error that says what to do."""
    ways = Ways()
    async with opened(ways) as (_, wire, _address):
        if address.endswith("0"):
            assert (await post(wire, address, b"{}")).status == 404
        else:
            sending = asyncio.get_running_loop().create_task(post(wire, address, b"{}"))
            await eventually(lambda: ways.posts.posted, "the message to be passed on")
            ways.posts.posted[0].on_gone()
            reply = await sending
            assert reply.status == 404
            assert b"GET /sse" in reply.body


@on_loop
async def test_a_message_for_another_workers_stream_is_passed_on() -> None:
    """Its verdict is the answer; a worker that is gone has no streams."""
    ways = Ways()
    async with opened(ways) as (_, wire, _address):
        for status in (202, 404):
            sending = asyncio.get_running_loop().create_task(
                post(wire, "/messages?session=7.3-ab", b'{"x":1}')
            )
            await eventually(lambda: ways.posts.posted, "the message to be passed on")
            posted = ways.posts.posted.pop()
            assert (posted.address, posted.request.channel) == ("7.3", "7.3-ab")
            assert posted.request.body == b'{"x":1}'
            if status == 202:
                posted.exchange.answer(Answer(202, b""))
            else:
                posted.on_gone()
            assert (await sending).status == status
    assert ways.service.requests == []


@on_loop
async def test_a_message_from_another_worker_reaches_our_stream() -> None:
    """It is acknowledged there, and answered here."""
    ways = Ways()
    async with opened(ways) as (stream, wire, address):
        sending = asyncio.get_running_loop().create_task(
            post(wire, "/messages?session=7.3-ab", modern("tools/list"))
        )
        await eventually(lambda: ways.posts.posted, "the message to be passed on")
        (posted,) = ways.posts.posted
        posted.request.channel = address.partition("=")[2]
        ways.sse.take(posted.request, posted.exchange)
        assert (await sending).status == 202
        assert await stream.event() == ("message", '{"ok":true}')


@pytest.mark.parametrize(
    ("method", "path", "line", "status"),
    [
        ("GET", "/sse", b"Accept: application/json", 406), ("POST", "/sse", JSON, 405),
        ("PUT", "/sse", STREAM, 405), ("GET", "/messages", STREAM, 405),
        ("POST", "/messages?session=1.0-0", b"Content-Type: text/plain", 415),
    ],
)  # fmt: skip
@on_loop
async def test_other_requests_are_refused(method: str, path: str, line: bytes, status: int) -> None:
    """As on the endpoint of Streamable HTTP."""
    async with Ways().open() as port, Wire(port) as wire:
        assert (await send(wire, method, path, line)).status == status


@on_loop
async def test_the_end_of_the_stream_ends_session_and_address() -> None:
    """And cancels what is under way."""
    ways = Ways()
    ways.service.answer = Answer(200, b'{"result":{"protocolVersion":"v"}}', session_id="alive")
    async with opened(ways) as (stream, wire, address):
        await post(wire, address, legacy("initialize"))
        ways.service.answer = None
        await post(wire, address, notification("notifications/initialized"))
        await post(wire, address, legacy("tools/list", request_id=2))
        stream.writer.transport.abort()
        await eventually(lambda: ways.service.ended, "the session to be ended")
        assert (await post(wire, address, b"{}")).status == 404
    assert ways.service.cancelled == 2


@on_loop
async def test_a_client_that_does_not_read_its_stream_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits for it is bounded; one large answer is not too much."""
    monkeypatch.setattr(sse_door, "MAX_UNSENT_BYTES", 1_000_000)
    ways = Ways()
    ways.service.answer = None
    async with opened(ways) as (stream, wire, address):
        await post(wire, address, modern("tools/list"))
        ways.service.exchanges[0].send(b"y" * 5_000_000)
        assert (await stream.event())[1] == "y" * 5_000_000
        while not ways.service.cancelled:
            ways.service.exchanges[0].send(b"x" * 100_000)
            await asyncio.sleep(0)


@on_loop
async def test_a_worker_that_stops_lets_calls_finish_and_ends_the_stream() -> None:
    """In order: the last chunk is sent."""
    ways = Ways()
    ways.service.answer = None
    async with opened(ways) as (stream, wire, address):
        await post(wire, address, modern("tools/list"))
        ways.channels.drain()
        await post(wire, address, modern("tools/list", request_id=2))
        assert '"id":2,"error":{"code":32004' in (await stream.event())[1]
        ways.service.exchanges[0].answer(Answer(200, b'{"ok":true}'))
        assert await stream.event() == ("message", '{"ok":true}')
        assert await stream.reader.readexactly(5) == b"0\r\n\r\n"


@on_loop
async def test_a_stream_that_opens_while_the_worker_stops_ends_at_once() -> None:
    """The client comes back to another worker."""
    ways = Ways()
    ways.channels.drain()
    async with opened(ways) as (stream, _, _address):
        assert await stream.reader.readexactly(5) == b"0\r\n\r\n"
