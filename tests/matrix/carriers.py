"""How a client's messages travel on channels: stdio, WebSocket, HTTP+SSE."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp

from only1mcp.protocol.event_stream import EventReader
from tests.matrix.sides import Plain

LIMIT = 16 * 2**20


class Receiver(Protocol):
    """The client, as far as messages come to it."""

    def take(self, raw: str, stream: object = None, status: int = 0) -> None:
        """Take a message.

        Args:
            raw: the message.
            stream: the id of the request on whose stream it came; None on a channel.
            status: of the HTTP response that it came with.
        """


class Carrier(Protocol):
    """One client's connection to the gateway."""

    has_streams: bool
    """Whether messages about a request come on a stream of its own."""

    async def open(self, receiver: Receiver) -> None:
        """Connect."""

    async def send(self, message: Plain, raw: str, headers: Mapping[str, str]) -> int:
        """Send a message; returns the HTTP status where there is one, else 0."""

    async def listen(self) -> None:
        """Open the stream of a session, where it needs one."""

    async def hang_up(self, request_id: object) -> None:
        """Stop to wait for a request, where that says something."""

    async def close(self) -> None:
        """Leave properly."""

    async def vanish(self) -> None:
        """Be gone from one moment to the next."""


class ChannelCarrier:
    """What all channels have in common."""

    has_streams = False

    def __init__(self) -> None:
        self._reading: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Do nothing: there is one channel for all."""

    async def hang_up(self, request_id: object) -> None:
        """Do nothing: a cancellation is a message here."""

    def _read(self, work: Any) -> None:
        self._reading = asyncio.get_running_loop().create_task(work)

    async def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})


class StdioCarrier(ChannelCarrier):
    """`only1mcp connect`, as a client starts it."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        super().__init__()
        self._url = url
        self._env = dict(env)
        self._process: asyncio.subprocess.Process | None = None

    async def open(self, receiver: Receiver) -> None:
        """Start the program."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "only1mcp", "connect", self._url, env=self._env, limit=LIMIT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._read(self._lines(self._process, receiver))

    async def _lines(self, process: asyncio.subprocess.Process, receiver: Receiver) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            receiver.take(line.decode())

    async def send(self, message: Plain, raw: str, headers: Mapping[str, str]) -> int:
        """Write a line."""
        del message, headers
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(raw.encode() + b"\n")
        await self._process.stdin.drain()
        return 0

    async def close(self) -> None:
        """Close its input and wait for its end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
            await self._stop_reading()

    async def vanish(self) -> None:
        """Have it stop, as clients do that do not wait for its end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
            await self._stop_reading()


class WebSocketCarrier(ChannelCarrier):
    """The WebSocket way in."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._client: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse[Any] | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect."""
        self._client = aiohttp.ClientSession()
        self._socket = await self._client.ws_connect(
            self._url.replace("http", "ws", 1).replace("/mcp", "/ws"), protocols=["mcp"],
            max_msg_size=LIMIT,
        )  # fmt: skip
        self._read(self._frames(self._socket, receiver))

    async def _frames(
        self, socket: "aiohttp.ClientWebSocketResponse[Any]", receiver: Receiver
    ) -> None:
        async for frame in socket:
            receiver.take(frame.data)

    async def send(self, message: Plain, raw: str, headers: Mapping[str, str]) -> int:
        """Send a frame."""
        del message, headers
        assert self._socket is not None
        await self._socket.send_str(raw)
        return 0

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None and self._client is not None:
            await self._stop_reading()
            await self._socket.close()
            await self._client.close()

    async def vanish(self) -> None:
        """Break the connection off."""
        if self._socket is not None and self._client is not None:
            await self._stop_reading()
            transport = self._socket.get_extra_info("socket")
            with socket.socket(fileno=os.dup(transport.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)
            await self._client.close()


class SseCarrier(ChannelCarrier):
    """The HTTP+SSE way in."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url.removesuffix("/mcp")
        self._client: aiohttp.ClientSession | None = None
        self._address: asyncio.Future[str] | None = None

    async def open(self, receiver: Receiver) -> None:
        """Open the stream and learn where to post."""
        connector = aiohttp.TCPConnector(force_close=True)
        self._client = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )
        self._address = asyncio.get_running_loop().create_future()
        self._read(self._events(self._client, self._address, receiver))
        await self._address

    async def _events(
        self, client: aiohttp.ClientSession, address: "asyncio.Future[str]", receiver: Receiver
    ) -> None:
        headers = {"Accept": "text/event-stream"}
        async with client.get(f"{self._url}/sse", headers=headers) as response:
            reader = EventReader(LIMIT)
            async for chunk in response.content.iter_any():
                for event in reader.feed(chunk):
                    if event.event == "endpoint":
                        address.set_result(event.data.decode())
                    else:
                        receiver.take(event.data.decode())

    async def send(self, message: Plain, raw: str, headers: Mapping[str, str]) -> int:
        """Post a message; what it leads to comes on the stream."""
        del message, headers
        assert self._client is not None
        assert self._address is not None
        url = self._url + self._address.result()
        kind = {"Content-Type": "application/json"}
        async with self._client.post(url, data=raw.encode(), headers=kind) as response:
            return response.status

    async def close(self) -> None:
        """End the stream."""
        await self._stop_reading()
        if self._client is not None:
            await self._client.close()

    async def vanish(self) -> None:
        """End the stream: there is no other way to leave."""
        await self.close()
