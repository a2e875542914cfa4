"""Real WebSockets on loopback: frames, their limits, and every way in which they end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from aiohttp import WSMessage, WSMsgType, web

from only1mcp.errors import BackendProtocolError
from only1mcp.transports import remote_channel, websocket
from only1mcp.transports.streamable_http import make_client
from only1mcp.transports.websocket import WebSocketChannel
from tests.support.heard import Heard
from tests.support.http_site import http_site, raw_site
from tests.support.loop import eventually, on_loop
from tests.support.ws_site import echo, listen, ws_site

LONG_S = 20.0


@asynccontextmanager
async def channel(
    url: str, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[WebSocketChannel, Heard]]:
    """Connect for the time of a block."""
    heard = Heard()
    async with make_client() as client:
        subject = await WebSocketChannel.open(client, "srv", url, headers or {}, LONG_S, heard)
        try:
            yield subject, heard
        finally:
            subject.kill()
            await eventually(subject.exited.is_set, "the channel to be gone")


async def closing(socket: web.WebSocketResponse) -> WSMessage:
    """Read up to the closing frame."""
    while (message := await socket.receive()).type is WSMsgType.TEXT:
        pass
    return message


def connection_of(subject: WebSocketChannel) -> str:
    """Return what the kernel calls the socket of a channel."""
    number = subject._transport.get_extra_info("socket").fileno()
    return str(Path(f"/proc/self/fd/{number}").readlink())


def is_open(connection: str) -> bool:
    """Say whether this process still holds a socket."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(entry.readlink()) == connection:
                return True
    return False


@on_loop
async def test_the_handshake_offers_mcp_and_our_own_headers() -> None:
    """And nothing of the client that it shares connections with."""
    seen: list[dict[str, str]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append({key.lower(): value for key, value in request.headers.items()})
        socket = web.WebSocketResponse(protocols=["mcp"])
        await socket.prepare(request)
        await listen(socket)
        return socket

    async with http_site(handle) as url, channel(url.replace("http", "ws"), {"X-Key": "k"}):
        pass
    assert seen[0]["sec-websocket-protocol"] == "mcp"
    assert seen[0]["x-key"] == "k"
    assert seen[0]["user-agent"].startswith("only1mcp/")
    assert not {"cookie", "authorization", "origin", "content-type"} & set(seen[0])


@on_loop
async def test_each_message_is_a_text_frame_byte_for_byte() -> None:
    """Both ways, whatever the frames on the wire look like."""
    frames: list[WSMessage] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            frames.append(message)
            await socket.send_str(message.data)

    sent = ['{"a": 1.0}', '{"b":\n"é\u2028"}', '{"c":"' + "x" * 300_000 + '"}']
    async with ws_site(talk) as url, channel(url) as (subject, heard):
        for text in sent:
            assert subject.write(text.encode())
        await eventually(lambda: len(heard.lines) == 3, "the echo")
    assert [(frame.type, frame.data) for frame in frames] == [(WSMsgType.TEXT, t) for t in sent]
    assert heard.lines == [text.encode() for text in sent]


@on_loop
async def test_a_server_may_choose_no_subprotocol() -> None:
    """As the SDKs put up with."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await echo(socket)
        return socket

    async with http_site(handle) as url, channel(url.replace("http", "ws")) as (subject, heard):
        subject.write(b"{}")
        await eventually(lambda: heard.lines == [b"{}"], "the echo")


@on_loop
async def test_a_server_that_chooses_another_subprotocol_is_not_an_mcp_server() -> None:
    """Its messages would mean something else."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.WebSocketResponse()
        response.headers["Sec-WebSocket-Protocol"] = "graphql-ws"
        await response.prepare(request)
        await listen(response)
        return response

    async with http_site(handle) as url:
        with pytest.raises(BackendProtocolError, match="speaks 'graphql-ws'"):
            async with channel(url.replace("http", "ws")):
                pass


@on_loop
async def test_an_answer_that_only_looks_like_an_upgrade_is_refused() -> None:
    """It does not know the key: it may come from a cache."""
    answer = (
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm90IHRoaXMgb25lIQ==\r\n\r\n"
    )
    async with raw_site(answer) as url:
        with pytest.raises(BackendProtocolError) as caught:
            async with channel(url.replace("http", "ws")):
                pass
    assert caught.value.hint is not None


@on_loop
async def test_a_binary_frame_ends_the_channel() -> None:
    """The server is told that we do not take such data."""
    codes: list[int] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("{}")
        await socket.send_bytes(b"\0\1")
        codes.append((await closing(socket)).data)

    async with ws_site(talk, autoclose=False) as url, channel(url) as (_, heard):
        await eventually(lambda: heard.exits, "its end")
        await eventually(lambda: codes, "our closing frame")
    assert (heard.lines, heard.exits, codes) == ([b"{}"], ["sent a binary frame"], [1003])


@on_loop
async def test_a_message_may_be_as_long_as_the_limit_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pieces count together; the server is told why we leave."""
    monkeypatch.setattr(websocket, "MAX_MESSAGE_BYTES", 1000)
    codes: list[int] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("x" * 1000)
        await socket.send_str("x" * 1001)
        codes.append((await closing(socket)).data)

    async with ws_site(talk, autoclose=False) as url, channel(url) as (_, heard):
        await eventually(lambda: heard.exits, "its end")
        await eventually(lambda: codes, "our closing frame")
    assert heard.lines == [b"x" * 1000]
    assert (heard.exits, codes) == (["sent a message of more than 1000 bytes"], [1009])


@on_loop
async def test_frames_that_nobody_can_read_end_the_channel() -> None:
    """Here: bits that only an extension, which we did not agree on, could set."""

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_frame(b"{}", WSMsgType.TEXT, compress=15)
        await closing(socket)

    async with ws_site(talk) as url, channel(url) as (_, heard):
        await eventually(lambda: heard.exits, "its end")
    assert heard.lines == []
    assert heard.exits[0].startswith("sent what is not a WebSocket frame (")


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [(1001, b"", "closed the connection (1001)"), (1011, b"no\nway",
     r"closed the connection (1011 'no\nway')"), (None, b"", "closed the connection")],
)  # fmt: skip
@on_loop
async def test_the_reason_of_the_server_for_closing_is_told(
    code: int | None, text: bytes, reason: str
) -> None:
    """On one line; what it said before is heard, and its closing frame is answered."""
    answers: list[WSMsgType] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("{}")
        payload = b"" if code is None else code.to_bytes(2) + text
        await socket.send_frame(payload, WSMsgType.CLOSE)
        answers.append((await closing(socket)).type)

    async with ws_site(talk, autoclose=False) as url, channel(url) as (subject, heard):
        await eventually(lambda: heard.exits, "its end")
        assert subject.write(b"{}") is False
        await eventually(lambda: answers, "our closing frame")
    assert (heard.lines, heard.exits, answers) == ([b"{}"], [reason], [WSMsgType.CLOSE])


@on_loop
async def test_a_connection_that_breaks_is_noticed() -> None:
    """Without any closing frame."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["mcp"])
        await socket.prepare(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.abort()
        return socket

    async with http_site(handle) as url, channel(url.replace("http", "ws")) as (subject, heard):
        assert subject.write(b"{}")
        await eventually(lambda: heard.exits, "its end")
    assert heard.exits == ["broke off the connection"]


@on_loop
async def test_a_peer_that_answers_no_ping_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection may look open for hours."""
    monkeypatch.setattr(websocket, "PING_S", 0.05)
    async with ws_site(listen, autoping=False) as url, channel(url) as (_, heard):
        await eventually(lambda: heard.exits, "its end")
    assert heard.exits == ["answered no ping"]


@on_loop
async def test_a_peer_that_is_silent_but_answers_pings_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It just has nothing to say."""
    monkeypatch.setattr(websocket, "PING_S", 1.0)
    pings = 0

    async def talk(socket: web.WebSocketResponse) -> None:
        nonlocal pings
        while (message := await socket.receive()).type is WSMsgType.PING:
            pings += 1
            await socket.pong(message.data)

    async with ws_site(talk, autoping=False) as url, channel(url) as (subject, heard):
        await eventually(lambda: pings == 2, "two pings")
        assert not subject.exited.is_set()
        assert heard.exits == []


@on_loop
async def test_a_peer_that_does_not_read_is_not_written_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be sent is refused once there is too much of it; nor does it hold up a stop."""
    monkeypatch.setattr(remote_channel, "MAX_UNSENT_BYTES", 20_000_000)
    monkeypatch.setattr(websocket, "_LINGER_S", 0.01)
    deaf: list[asyncio.Transport] = []
    gone = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["mcp"])
        await socket.prepare(request)
        transport = cast("asyncio.Transport", request.transport)
        transport.pause_reading()
        deaf.append(transport)
        with contextlib.suppress(asyncio.CancelledError):  # how a lost connection is told here
            await asyncio.get_running_loop().create_future()
        gone.set()
        return socket

    async with http_site(handle) as url, channel(url.replace("http", "ws")) as (subject, heard):
        await eventually(lambda: deaf, "the server to stop reading")
        ours = connection_of(subject)
        accepted = 0
        while subject.write(b"x" * 8_000_000):
            accepted += 1
            assert accepted < 10
        assert accepted == 3
        await subject.stop(0.05)
        assert heard.exits == ["was disconnected"]
        await eventually(lambda: not is_open(ours), "our end to be closed")
        deaf[0].resume_reading()
        await eventually(gone.is_set, "the server to notice")


@on_loop
async def test_stopping_sends_everything_and_then_says_goodbye() -> None:
    """What the server says until it answers our closing frame is heard."""
    texts: list[str] = []
    codes: list[int] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        while (message := await socket.receive()).type is WSMsgType.TEXT:
            texts.append(message.data)
        codes.append(message.data)
        await socket.send_str("last words")
        await socket.send_frame(b"\x03\xe8", WSMsgType.CLOSE)

    async with ws_site(talk, autoclose=False) as url, channel(url) as (subject, heard):
        for number in range(500):
            assert subject.write(b"%d" % number)
        await subject.stop(LONG_S)
    assert texts == [str(number) for number in range(500)]
    assert (codes, heard.lines, heard.exits) == ([1000], [b"last words"], ["was disconnected"])


@on_loop
async def test_a_killed_channel_keeps_nothing_open() -> None:
    """Neither its connection nor its keep-alive."""
    async with ws_site(listen) as url, channel(url) as (subject, _):
        ours = connection_of(subject)
        assert is_open(ours)
        subject.kill()
        await eventually(subject.exited.is_set, "its end")
        await eventually(lambda: not is_open(ours), "our end to be closed")
        assert subject._socket.closed


@on_loop
async def test_a_server_that_does_not_say_goodbye_is_left() -> None:
    """After the time of grace; it learns that the connection is gone."""
    gone = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        await closing(socket)
        await socket.receive()
        gone.set()

    async with ws_site(talk, autoclose=False) as url, channel(url) as (subject, heard):
        await subject.stop(0.05)
        assert heard.exits == ["was disconnected"]
        await eventually(gone.is_set, "the server to notice")
