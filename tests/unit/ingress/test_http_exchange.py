"""One HTTP response on a real socket: plain, or a stream of events."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from only1mcp.ingress import http_exchange
from only1mcp.ingress.http_exchange import HttpExchange, respond
from only1mcp.proxy.exchange import Answer
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop

DONE = Answer(200, b'{"done":true}')
REQUEST = b"POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
"""In HTTP/1.0 the body ends with the connection, and nothing is chunked."""


class Site:
    """Serves one exchange, which the test fills before or after the request comes."""

    def __init__(self, max_unsent: int = http_exchange.MAX_UNSENT_BYTES) -> None:
        self.exchange = HttpExchange(max_unsent)
        self.requests = 0
        self.cancelled = 0
        self.port = 0
        self.transport: asyncio.Transport | None = None
        """Our end of the connection."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the request by what the exchange gets."""
        self.requests += 1
        self.transport = request.transport
        return await respond(request, self.exchange, self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(REQUEST)
        await eventually(lambda: self.requests, "the request")
        return reader, writer

    async def whole(self) -> tuple[str, bytes]:
        """Send the request; return head and body, once all has come."""
        reader, writer = await self.connect()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head.decode(), body


@asynccontextmanager
async def site(max_unsent: int = http_exchange.MAX_UNSENT_BYTES) -> AsyncIterator[Site]:
    """Listen."""
    subject = Site(max_unsent)
    async with http_site(subject.handle) as url:
        subject.port = int(url.rpartition(":")[2].partition("/")[0])
        yield subject


@on_loop
async def test_an_answer_that_comes_first_is_plain_json() -> None:
    """With its status, its length and the id of a new session."""
    async with site() as subject:
        subject.exchange.answer(Answer(404, b'{"a":1}', session_id="s1"))
        head, body = await subject.whole()
    assert head.startswith("HTTP/1.0 404 ")
    assert "Content-Type: application/json" in head
    assert "Content-Length: 7" in head
    assert "Mcp-Session-Id: s1" in head
    assert body == b'{"a":1}'
    assert subject.cancelled == 0


@pytest.mark.parametrize(
    "finish", [lambda one: one.answer(Answer(202, b"")), lambda one: one.end()]
)
@on_loop
async def test_an_end_without_a_word_is_an_empty_202(
    finish: Callable[[HttpExchange], None],
) -> None:
    """Be it the answer to a notification, or a stream that ended before it began."""
    async with site() as subject:
        finish(subject.exchange)
        head, body = await subject.whole()
    assert head.startswith("HTTP/1.0 202 ")
    assert "Content-Type" not in head
    assert body == b""


@on_loop
async def test_a_message_before_the_answer_makes_it_a_stream() -> None:
    """The answer is the last event; nobody on the way may keep or change it."""
    async with site() as subject:
        subject.exchange.send(b'{"n":1}')
        subject.exchange.send(b'{"n":2}', "w-2")
        subject.exchange.answer(DONE, "w-3")
        subject.exchange.answer(Answer(200, b"never"))
        head, body = await subject.whole()
    assert head.startswith("HTTP/1.0 200 ")
    assert "Content-Type: text/event-stream" in head
    assert "Cache-Control: no-cache, no-transform" in head
    assert "X-Accel-Buffering: no" in head
    assert body == (
        b'event: message\ndata: {"n":1}\n\n'
        b'event: message\nid: w-2\ndata: {"n":2}\n\n'
        b'event: message\nid: w-3\ndata: {"done":true}\n\n'
    )


@on_loop
async def test_a_stream_that_is_opened_begins_at_once() -> None:
    """Before there is anything to say; then messages come as they are sent, up to the end."""
    async with site() as subject:
        reader, writer = await subject.connect()
        subject.exchange.open()
        await reader.readuntil(b"\r\n\r\n")
        for number in range(3):
            subject.exchange.send(b"%d" % number)
            event = await reader.readuntil(b"\n\n")
            assert event == b"event: message\ndata: %d\n\n" % number
        subject.exchange.end()
        assert await reader.read() == b""
        writer.close()
    assert subject.cancelled == 0


@on_loop
async def test_an_event_may_carry_only_its_id() -> None:
    """With the time after which a client is to come back; and there are events of other kinds."""
    async with site() as subject:
        subject.exchange.tell("endpoint", b"/messages?x=1")
        subject.exchange.send(b"", "w-0")
        subject.exchange.end()
        _, body = await subject.whole()
    assert body == (b"event: endpoint\ndata: /messages?x=1\n\nid: w-0\nretry: 1000\ndata: \n\n")


@on_loop
async def test_silence_is_broken_by_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are comments, which clients pass over; the answer is an event then."""
    monkeypatch.setattr(http_exchange, "KEEP_ALIVE_S", 0.01)
    async with site() as subject:
        reader, writer = await subject.connect()
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            assert await reader.readuntil(b"\n\n") == b": ping\n\n"
        subject.exchange.answer(DONE)
        rest = await reader.read()
        writer.close()
    assert rest.replace(b": ping\n\n", b"") == b'event: message\ndata: {"done":true}\n\n'


@on_loop
async def test_the_members_of_an_array_are_events_of_their_own() -> None:
    """On a stream, that is, where SDKs expect single messages; without one, the array is it."""
    answer = Answer(200, b"[1,2]", members=(b"1", b"2"))
    async with site() as subject:
        subject.exchange.open()
        subject.exchange.answer(answer)
        _, body = await subject.whole()
    assert body == b"event: message\ndata: 1\n\nevent: message\ndata: 2\n\n"
    async with site() as subject:
        subject.exchange.answer(answer)
        assert (await subject.whole())[1] == b"[1,2]"


@pytest.mark.parametrize("streaming", [False, True])
@on_loop
async def test_a_client_that_goes_first_is_noticed(streaming: bool) -> None:
    """Whether or not anything was sent; whoever would answer hears of it once."""
    async with site() as subject:
        _, writer = await subject.connect()
        if streaming:
            subject.exchange.send(b"1")
        writer.transport.abort()
        await eventually(lambda: subject.cancelled, "the end to be noticed")
        subject.exchange.send(b"2")
        subject.exchange.answer(DONE)
    assert subject.cancelled == 1


@on_loop
async def test_a_client_that_goes_while_it_is_written_to_is_no_mistake_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The write fails before aiohttp learns of the end; nothing is logged of that."""
    async with site() as subject:
        reader, writer = await subject.connect()
        subject.exchange.send(b"1")
        await reader.readuntil(b"data: 1")
        subject.exchange.send(b"2")
        assert subject.transport is not None
        subject.transport.abort()
        await eventually(lambda: subject.cancelled, "the end to be noticed")
        writer.close()
    assert subject.cancelled == 1
    assert caplog.messages == []


@on_loop
async def test_a_slow_reader_gets_everything_in_order() -> None:
    """Nothing is lost while it lags behind, within the bound."""
    async with site() as subject:
        reader, writer = await subject.connect()
        for number in range(300):
            subject.exchange.send(json.dumps([number, "x" * 10_000]).encode())
        subject.exchange.answer(DONE)
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    assert [json.loads(event)[0] for event in events[:-1]] == list(range(300))
    assert events[-1] == DONE.body


@on_loop
async def test_a_client_that_does_not_read_is_given_up() -> None:
    """Though its connection stands: the write to it would wait for ever."""
    async with site(100_000) as subject:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", subject.port))
        sock.send(REQUEST)
        await eventually(lambda: subject.requests, "the request")

        def flood() -> int:
            subject.exchange.send(b"x" * 50_000)
            return subject.cancelled

        await eventually(flood, "the client to be given up")
        subject.exchange.answer(DONE)
        sock.close()
    assert subject.cancelled == 1


@on_loop
async def test_a_stream_never_has_a_hole() -> None:
    """What came after too much was dropped is not sent either, not even the answer."""
    async with site(1000) as subject:
        for _ in range(3):
            subject.exchange.send(b"x" * 1000)
        subject.exchange.answer(DONE)
        reader, writer = await subject.connect()
        assert DONE.body not in await reader.read()
        writer.close()
    assert subject.cancelled == 1
