"""MCP on a WebSocket: who gets in, what a frame may be, and how connections end."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from only1mcp.ingress import websocket_door
from only1mcp.proxy.exchange import Answer
from only1mcp.transports import remote_channel
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy, modern, notification
from tests.support.ways import LIMITS, Ways
from tests.support.wire import Wire

KEY = b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16))
HANDSHAKE = (b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade", KEY,
             b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Protocol: mcp")  # fmt: skip
Socket = aiohttp.ClientWebSocketResponse[bool]


def opening(*changes: bytes) -> bytes:
    """Write a handshake; a line takes the place of the one with the same name."""
    names = {line.partition(b":")[0] for line in changes}
    kept = [line for line in HANDSHAKE if line.partition(b":")[0] not in names]
    lines = [line for line in (*kept, *changes) if line.partition(b": ")[2]]
    return b"\r\n".join([b"GET /ws HTTP/1.1", *lines, b"", b""])


@asynccontextmanager
async def connected(ways: Ways) -> AsyncIterator[Socket]:
    """A client on a WebSocket that answers no ping by itself."""
    async with (
        ways.open() as port,
        aiohttp.ClientSession() as client,
        client.ws_connect(
            f"ws://127.0.0.1:{port}/ws", protocols=["other", "mcp"], autoping=False,
        ) as socket,
    ):  # fmt: skip
        yield socket


@on_loop
async def test_every_text_frame_is_a_message_both_ways() -> None:
    """On the subprotocol `mcp`."""
    ways = Ways()
    async with connected(ways) as socket:
        assert socket.protocol == "mcp"
        await socket.send_str(modern("tools/list").decode())
        assert await socket.receive_str() == '{"ok":true}'
    (request,) = ways.service.requests
    assert (request.body, request.client) == (modern("tools/list"), "127.0.0.1")
    assert request.headers.method == "tools/list"


@pytest.mark.parametrize(
    "change",
    [
        b"Sec-WebSocket-Protocol: other", b"Sec-WebSocket-Protocol: ", b"Sec-WebSocket-Key: x",
        b"Sec-WebSocket-Version: 1", b"Connection: keep-alive", b"Upgrade: ",
    ],
)  # fmt: skip
@on_loop
async def test_what_is_no_handshake_for_mcp_is_400(change: bytes) -> None:
    """With a word on what is expected."""
    async with Ways().open() as port, Wire(port) as wire:
        await wire.send(opening(change))
        reply = await wire.reply()
    assert reply.status == 400
    assert b"offer the subprotocol mcp" in reply.body


@pytest.mark.parametrize(
    ("line", "status"), [(b"Host: evil.example", 421), (b"Origin: https://evil.example", 403)]
)
@on_loop
async def test_a_foreign_page_cannot_open_a_websocket(line: bytes, status: int) -> None:
    """And what it sends behind the handshake is not served as HTTP."""
    ways = Ways()
    async with ways.open() as port, Wire(port) as wire:
        await wire.send(opening(line) + b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await wire.reply()).status == status
        assert await wire.ended() == b""
    assert ways.service.requests == []


@on_loop
async def test_a_message_may_be_as_large_as_a_body() -> None:
    """A larger one ends the connection, with the code for that."""
    ways = Ways()
    async with connected(ways) as socket:
        largest = modern("tools/list").ljust(LIMITS.max_body)
        await socket.send_str(largest.decode())
        assert await socket.receive_str() == '{"ok":true}'
        await socket.send_str((largest + b" ").decode())
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert len(ways.service.requests) == 1


@on_loop
async def test_a_binary_frame_ends_the_connection() -> None:
    """Messages are text."""
    async with connected(Ways()) as socket:
        await socket.send_bytes(modern("tools/list"))
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.UNSUPPORTED_DATA


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02{}", aiohttp.WSCloseCode.PROTOCOL_ERROR),
        (b"\x89\x00", aiohttp.WSCloseCode.PROTOCOL_ERROR),
        (b"\x81\x82" + bytes(4) + b"\xc3\x28", aiohttp.WSCloseCode.INVALID_TEXT),
    ],
    ids=["text without a mask", "ping without a mask", "no UTF-8"],
)  # fmt: skip
@on_loop
async def test_a_frame_that_breaks_the_rules_ends_the_connection(frame: bytes, code: int) -> None:
    """With the code that says which (RFC 6455, sections 5.1 and 8.1); nothing is served."""
    ways = Ways()
    async with ways.open() as port, Wire(port) as wire:
        await wire.send(opening() + frame)
        head, _, rest = (await wire.ended()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert (rest[0], int.from_bytes(rest[2:4])) == (0x88, code)
    assert ways.service.requests == []


@on_loop
async def test_a_quiet_client_that_answers_pings_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any request may take to come, or any connection may be idle."""
    monkeypatch.setattr(websocket_door, "PING_S", 0.1)
    async with connected(Ways()) as socket:
        for _ in range(10):
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.PING
            await socket.pong(message.data)
        await socket.send_str(modern("tools/list").decode())
        while (message := await socket.receive()).type is aiohttp.WSMsgType.PING:
            await socket.pong(message.data)
        assert message.data == '{"ok":true}'


@on_loop
async def test_a_client_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had under way is cancelled."""
    monkeypatch.setattr(websocket_door, "PING_S", 0.1)
    ways = Ways()
    ways.service.answer = None
    async with connected(ways) as socket:
        await socket.send_str(modern("tools/list").decode())
        await eventually(lambda: ways.service.cancelled == 1, "the request to be cancelled")


@on_loop
async def test_a_client_that_leaves_ends_its_session() -> None:
    """However it leaves; its requests are cancelled."""
    ways = Ways()
    ways.service.answer = Answer(200, b'{"result":{"protocolVersion":"v"}}', session_id="alive")
    async with connected(ways) as socket:
        await socket.send_str(legacy("initialize").decode())
        await socket.receive()
        ways.service.answer = None
        await socket.send_str(notification("notifications/initialized").decode())
        await socket.send_str(legacy("tools/list", request_id=2).decode())
        await eventually(lambda: len(ways.service.requests) == 3, "the request to be under way")
        assert [request.headers.session for request in ways.service.streams] == ["alive"]
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert transport is not None
        transport.abort()
        await eventually(lambda: ways.service.ended, "the session to be ended")
    assert ways.service.ended[0].headers.session == "alive"
    assert ways.service.cancelled == 2


@on_loop
async def test_a_client_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded."""
    monkeypatch.setattr(remote_channel, "MAX_UNSENT_BYTES", 1_000_000)
    ways = Ways()
    ways.service.answer = None
    async with ways.open() as port, Wire(port) as wire:
        await wire.send(opening())
        await wire.reader.readuntil(b"\r\n\r\n")
        body = modern("tools/list")
        masked = bytes([0x81, 0x80 | 126]) + len(body).to_bytes(2) + bytes(4) + body
        await wire.send(masked)
        await eventually(lambda: ways.service.exchanges, "the request to be under way")
        while not ways.service.cancelled:
            ways.service.exchanges[0].send(b"x" * 100_000)
            await asyncio.sleep(0)


@on_loop
async def test_a_worker_that_stops_lets_calls_finish_and_says_goodbye() -> None:
    """With the code that tells the client to come back."""
    ways = Ways()
    ways.service.answer = None
    async with connected(ways) as socket:
        await socket.send_str(modern("tools/list").decode())
        await eventually(lambda: ways.service.exchanges, "the request to be under way")
        ways.channels.drain()
        await socket.send_str(modern("tools/list", request_id=2).decode())
        assert '"id":2,"error":{"code":32004' in await socket.receive_str()
        ways.service.exchanges[0].answer(Answer(200, b'{"ok":true}'))
        assert await socket.receive_str() == '{"ok":true}'
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
