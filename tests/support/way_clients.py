"""Raw clients of the ways in that are channels: what is said and what is heard, nothing between."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import aiohttp

from only1mcp.protocol.event_stream import EventReader
from tests.support.loop import PATIENCE_S
from tests.support.mcp_client import LEGACY, META

Message = dict[str, Any]
INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class WayClient(Protocol):
    """A client on a channel."""

    async def say(self, *messages: Message) -> None:
        """Send messages."""

    async def hear(self) -> Message | None:
        """Return the next message; None at the end of the channel."""


class SocketClient:
    """A client on a WebSocket."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self.socket = socket

    async def say(self, *messages: Message) -> None:
        """Send messages, each in a frame."""
        for message in messages:
            await self.socket.send_str(json.dumps(message))

    async def hear(self) -> Message | None:
        """Return the next message."""
        frame = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            return None
        message: Message = json.loads(frame.data)
        return message


class StreamClient:
    """A client of HTTP+SSE; each message is posted on a connection of its own."""

    def __init__(self, base: str, response: aiohttp.ClientResponse) -> None:
        self._base = base
        self._response = response
        self._reader = EventReader(1 << 26)
        self._events: list[tuple[str, bytes]] = []
        self.address = ""

    async def begin(self) -> None:
        """Learn the address to post to."""
        event = await self._next()
        assert event is not None
        assert event[0] == "endpoint"
        self.address = self._base + event[1].decode()

    async def say(self, *messages: Message) -> None:
        """Post messages."""
        for message in messages:
            assert await self.post(json.dumps(message).encode()) == 202

    async def post(self, body: bytes) -> int:
        """Post anything; returns the status."""
        async with aiohttp.ClientSession() as client:
            headers = {"Content-Type": "application/json"}
            async with client.post(self.address, data=body, headers=headers) as response:
                return response.status

    async def hear(self) -> Message | None:
        """Return the next message."""
        event = await self._next()
        if event is None:
            return None
        assert event[0] == "message"
        message: Message = json.loads(event[1])
        return message

    async def _next(self) -> tuple[str, bytes] | None:
        while not self._events:
            try:
                chunk = await asyncio.wait_for(self._response.content.readany(), PATIENCE_S)
            except aiohttp.ClientError:
                return None
            if not chunk:
                return None
            self._events += [(event.event, event.data) for event in self._reader.feed(chunk)]
        return self._events.pop(0)


@contextlib.asynccontextmanager
async def websocket(port: int) -> AsyncIterator[SocketClient]:
    """A client on a WebSocket."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://127.0.0.1:{port}/ws", protocols=["mcp"]) as socket,
    ):
        yield SocketClient(socket)


@contextlib.asynccontextmanager
async def sse(port: int) -> AsyncIterator[StreamClient]:
    """A client of HTTP+SSE."""
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as http, http.get(f"{base}/sse") as response:
        client = StreamClient(base, response)
        await client.begin()
        yield client


WAYS: dict[str, Callable[[int], contextlib.AbstractAsyncContextManager[WayClient]]] = {
    "websocket": websocket, "sse": sse,
}  # fmt: skip


def legacy(request_id: object, method: str, **params: Any) -> Message:
    """Write a request of a revision with sessions."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def modern(request_id: object, method: str, **params: Any) -> Message:
    """Write a request of 2026-07-28."""
    return legacy(request_id, method, **{**params, "_meta": {**META, **params.get("_meta", {})}})


def call(request_id: object, name: str, **arguments: Any) -> Message:
    """Write a legacy tool call."""
    return legacy(request_id, "tools/call", name=name, arguments=arguments)


def initialize(**capabilities: Any) -> Message:
    """Write the request that opens a session."""
    info = {"name": "way", "version": "1"}
    return legacy(
        "hello", "initialize", protocolVersion=LEGACY, capabilities=capabilities, clientInfo=info
    )


def cancelled(request_id: object) -> Message:
    """Write a cancellation."""
    params = {"requestId": request_id}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


def text(message: Message | None) -> str:
    """Return what a tool said."""
    assert message is not None
    said: str = message["result"]["content"][0]["text"]
    return said
