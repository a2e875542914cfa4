"""The guard on real sockets, in front of a real HTTP server."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from only1mcp.ingress.guard import Connections, Guard
from only1mcp.ingress.held import SMALL, Held
from only1mcp.ingress.limits import Limits
from tests.support.loop import eventually, on_loop
from tests.support.wire import Wire

PATIENT = Limits(max_body=5000, max_header=1000, header_timeout_s=60.0)
HASTY = Limits(max_body=5000, max_header=1000, header_timeout_s=0.2, idle_timeout_s=60.0)
GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"


class Site:
    """A tiny server behind guards; it answers with the path and body, once it may."""

    def __init__(self, limits: Limits, bound: int, held: Held | None = None) -> None:
        self.connections = Connections(bound, held)
        self.seen: list[tuple[str, bytes]] = []
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._limits = limits
        self.http = web.Server(self._handle, handler_cancellation=True)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        self.begun.append(request.path)
        body = await request.read() if request.path != "/unread" else b""
        self.seen.append((request.path, body))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request.path)
            raise
        return web.Response(body=request.path.encode() + b" " + body)

    @asynccontextmanager
    async def open(self, due: float | None = None) -> AsyncIterator[int]:
        """Serve; yields the port."""

        def make_guard() -> Guard:
            guard = Guard(self.http, self._limits, self.connections)
            guard.due = due
            return guard

        loop = asyncio.get_running_loop()
        server = await loop.create_server(make_guard, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await self.http.shutdown(0.1)
            await eventually(lambda: self.connections.open == 0, "all connections to be gone")


@asynccontextmanager
async def site(limits: Limits = PATIENT, bound: int = 100) -> AsyncIterator[tuple[Site, Wire]]:
    """A site and a connection to it."""
    subject = Site(limits, bound)
    async with subject.open() as port, Wire(port) as wire:
        yield subject, wire


@on_loop
async def test_requests_in_order_pass_and_the_connection_stays() -> None:
    """One after the other on one connection."""
    async with site() as (_, wire):
        for number in range(3):
            await wire.send(GET % b"%d" % number)
            assert (await wire.reply()).body == b"/%d " % number


@on_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    """However their bytes are cut."""
    requests = b"".join(POST % 2 + b"%02d" % number for number in range(6))
    async with site() as (_, wire):
        for at in range(0, len(requests), 37):
            await wire.send(requests[at : at + 37])
        bodies = [(await wire.reply()).body for _ in range(6)]
    assert bodies == [b"/x %02d" % number for number in range(6)]


REFUSED = [
    (b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    (b"\x16\x03\x01\x00\n", 400),
    (GET[:-2] % b"" + b"A: " + b"x" * 2000, 431),
    (POST % 5001, 413),
    (b"CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", 501),
]


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED)
@on_loop
async def test_a_refusal_says_why_and_ends_the_connection(
    request_bytes: bytes, status: int
) -> None:
    """As JSON-RPC, for MCP clients show nothing else; the server behind sees nothing."""
    async with site() as (subject, wire):
        await wire.send(request_bytes)
        reply = await wire.reply()
        assert reply.status == status
        assert (reply.headers["connection"], reply.headers["content-type"]) == (
            "close", "application/json",
        )  # fmt: skip
        error = json.loads(reply.body)
        assert (error["id"], error["error"]["code"]) == (None, -32600)
        assert await wire.ended() == b""
    assert subject.begun == []


@on_loop
async def test_nothing_is_served_after_a_refusal() -> None:
    """What a refused client sends on is not read as requests."""
    async with site() as (subject, wire):
        await wire.send(b"BAD\r\n\r\n")
        await wire.send(GET % b"later")
        assert (await wire.reply()).status == 400
        await wire.send(GET % b"latest")
        assert await wire.ended() == b""
    assert subject.begun == []


@on_loop
async def test_the_handler_does_not_answer_behind_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It had begun when the rest of its request turned out to be wrong."""
    async with site() as (subject, wire):
        await wire.send(GET % b"first")
        await wire.reply()
        subject.gate.clear()
        await wire.send(b"POST /unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        await eventually(lambda: "/unread" in subject.begun, "the handler to begin")
        await wire.send(b"wrong\r\n")
        assert (await wire.reply()).status == 400
        subject.gate.set()
        await eventually(lambda: subject.cancelled == ["/unread"], "the handler to be cancelled")
    assert not caplog.records or max(record.levelno for record in caplog.records) < logging.ERROR


@on_loop
async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    """It reads only when its whole body is out, and must find the answer, not a reset."""
    async with site() as (_, wire):
        await wire.send(POST % 4_000_000 + b"x" * 4_000_000)
        assert (await wire.reply()).status == 413


async def send_for_ever(wire: Wire) -> None:
    """Send more and more, until that fails."""
    while True:
        await wire.send(b"x" * 1000)
        await asyncio.sleep(0.01)


@on_loop
async def test_a_client_that_never_stops_sending_is_cut_off() -> None:
    """A refused client may linger for a moment, not for ever."""
    async with site() as (subject, wire):
        await wire.send(b"BAD\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(wire)
        await eventually(lambda: subject.connections.open == 0, "the count to fall")


@pytest.mark.parametrize(
    "begun", [b"G", GET[:-1] % b"x", (GET % b"x") * 2 + b"P"], ids=["first byte", "head", "third"]
)
@on_loop
async def test_a_head_that_does_not_come_in_is_answered_408(begun: bytes) -> None:
    """Also when requests before it were answered."""
    async with site(HASTY) as (_, wire):
        await wire.send(begun)
        for _ in range(begun.count(b"\r\n\r\n")):
            assert (await wire.reply()).status == 200
        assert (await wire.reply()).status == 408
        assert await wire.ended() == b""


@pytest.mark.parametrize(
    "begun",
    [POST % 10 + b"x", b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("before", [b"", GET % b"first"], ids=["gathered", "handled"])
@on_loop
async def test_a_body_that_does_not_come_in_is_answered_408(before: bytes, begun: bytes) -> None:
    """Of a first request, and of a later one, for which the handler waits already."""
    async with site(HASTY) as (subject, wire):
        if before:
            await wire.send(before)
            assert (await wire.reply()).status == 200
        await wire.send(begun)
        assert (await wire.reply()).status == 408
    assert subject.begun == (["/first", "/x"] if before else [])
    assert subject.connections.held.held == 0


@pytest.mark.parametrize("begun", [b"", POST % 4000], ids=["head", "body"])
@on_loop
async def test_one_byte_now_and_then_buys_no_time(begun: bytes) -> None:
    """A client that drips is as slow as one that stops."""
    async with site(HASTY) as (_, wire):
        await wire.send(begun)
        reply = asyncio.get_running_loop().create_task(wire.reply())
        while not reply.done():
            await wire.send(b"G")
            await asyncio.wait([reply], timeout=0.02)
        assert (await reply).status == 408


@on_loop
async def test_a_head_that_another_protocol_saw_begin_has_no_second_time() -> None:
    """Its time is up as soon as the guard is there; a body has its own."""
    site = Site(PATIENT, 100)
    async with site.open(due=0.0) as port:
        async with Wire(port) as wire:
            await wire.send(GET[:20])
            assert (await wire.reply()).status == 408
        async with Wire(port) as wire:
            await wire.send(POST % 2)
            await eventually(lambda: site.connections.held.held, "the head to be read")
            await wire.send(b"{}")
            assert (await wire.reply()).status == 200


@on_loop
async def test_head_and_body_have_their_time_each() -> None:
    """A request in two halves is no slow one; a quiet connection neither."""
    async with site() as (_, wire):
        for _ in range(2):
            await wire.send(POST[:20])
            await wire.send(POST[20:] % 4 + b"ab")
            await wire.send(b"cd")
            assert (await wire.reply()).body == b"/x abcd"


@on_loop
async def test_no_parser_is_made_for_less_than_a_request() -> None:
    """What has come of its body is counted, until a parser has it, or the client has gone."""
    async with site() as (subject, wire):
        held = subject.connections.held
        await wire.send(POST % 4 + b"ab")
        await eventually(lambda: held.held == len(POST % 4 + b"ab"), "it to be gathered")
        assert subject.http.connections == []
        await wire.send(b"cd" + GET % b"next")
        assert [(await wire.reply()).body for _ in range(2)] == [b"/x abcd", b"/next "]
        assert held.held == 0
        async with subject.open() as port, Wire(port) as other:
            await other.send(POST % 4)
            await eventually(lambda: held.held, "it to be gathered")
            other.writer.transport.abort()
            await eventually(lambda: not held.held, "it to be forgotten")


LARGE = Limits(max_body=SMALL * 2, max_header=1000)
EXPECTS = b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "room"),
    [(EXPECTS, SMALL), (POST % (SMALL + 1) + b"x" * SMALL, SMALL * 2), (POST % 4 + b"ab", 8)],
    ids=["asks first", "large", "no room"],
)
@on_loop
async def test_some_are_handled_before_they_are_whole(begun: bytes, room: int) -> None:
    """Who waits for a word, who sends much, and whom the handler is to refuse."""
    subject = Site(LARGE, 100, Held(room))
    async with subject.open() as port, Wire(port) as wire:
        await wire.send(begun)
        await eventually(lambda: subject.begun == ["/x"], "the handler to begin")
        assert subject.connections.held.held == 0


@pytest.mark.parametrize("begun", [b"", b"P", POST % 4], ids=["nothing", "head", "body"])
@on_loop
async def test_only_connections_without_a_request_are_let_go(begun: bytes) -> None:
    """What has begun may come to its end."""
    async with site() as (subject, wire):
        await eventually(lambda: subject.connections.fresh, "the connection to be there")
        (guard,) = subject.connections.fresh
        if begun:
            await wire.send(begun)
            await eventually(lambda: not guard._framer.idle, "it to be read")
        subject.connections.let_go()
        if begun:
            await wire.send((POST % 4 + b"abcd")[len(begun) :])
            assert (await wire.reply()).body == b"/x abcd"
        else:
            assert await wire.ended() == b""
        assert not subject.connections.fresh


@on_loop
async def test_a_connection_that_says_nothing_is_closed() -> None:
    """Silently, after the idle timeout: it may be a browser's spare one."""
    async with site(Limits(idle_timeout_s=0.1)) as (subject, wire):
        assert await wire.ended() == b""
        await eventually(lambda: subject.connections.open == 0, "the count to fall")


@on_loop
async def test_connections_above_the_bound_are_answered_503() -> None:
    """And told to come again; those below it are not harmed."""
    subject = Site(PATIENT, bound=2)
    async with subject.open() as port:
        async with Wire(port) as first, Wire(port) as second:
            for wire in (first, second):
                await wire.send(GET % b"in")
                assert (await wire.reply()).status == 200
            async with Wire(port) as third:
                await third.send(GET % b"out")
                reply = await third.reply()
                assert (reply.status, reply.headers["retry-after"]) == (503, "1")
                assert await third.ended() == b""
            await first.send(GET % b"still")
            assert (await first.reply()).status == 200
        await eventually(lambda: subject.connections.open == 0, "the places to be free")
        async with Wire(port) as fourth:
            await fourth.send(GET % b"in")
            assert (await fourth.reply()).status == 200
    assert all(path != "/out" for path, _ in subject.seen)


@on_loop
async def test_refused_connections_take_no_place() -> None:
    """A crowd at the door does not keep it shut."""
    subject = Site(PATIENT, bound=1)
    async with subject.open() as port:
        async with Wire(port) as first:
            await first.send(GET % b"in")
            await first.reply()
            crowd = [Wire(port) for _ in range(5)]
            for wire in crowd:
                await wire.__aenter__()
                assert (await wire.reply()).status == 503
            assert subject.connections.open == 1
            assert subject.connections.lingering <= 1  # the others were closed as soon as told
        await eventually(lambda: subject.connections.open == 0, "the place to be free")
        await eventually(lambda: subject.connections.lingering == 0, "nobody to linger")
        async with Wire(port) as next_one:
            await next_one.send(GET % b"in")
            assert (await next_one.reply()).status == 200
        for wire in crowd:
            wire.writer.transport.abort()


@on_loop
async def test_a_refusal_is_never_taken_for_the_answer_to_an_earlier_request() -> None:
    """While that one is under way the connection ends without a word."""
    async with site() as (subject, wire):
        subject.gate.clear()
        await wire.send(GET % b"first")
        await eventually(lambda: subject.seen, "the first request to be under way")
        await wire.send(b"BAD\r\n\r\n")
        assert await wire.ended() == b""


@on_loop
async def test_a_client_that_leaves_is_noticed_by_the_handler() -> None:
    """Its request is cancelled, not finished for nobody."""
    async with site() as (subject, wire):
        subject.gate.clear()
        await wire.send(GET % b"left")
        await eventually(lambda: subject.seen, "the request to be under way")
        wire.writer.transport.abort()
        await eventually(lambda: subject.cancelled == ["/left"], "the handler to be cancelled")


@on_loop
async def test_a_slow_reader_holds_up_nobody_but_itself() -> None:
    """Backpressure passes through the guard."""
    big = b"x" * 4999
    async with site() as (_, wire):
        for _ in range(50):
            await wire.send(POST % len(big) + big)
        for _ in range(50):
            assert len((await wire.reply()).body) == len(big) + 3
