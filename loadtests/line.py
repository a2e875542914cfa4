"""One HTTP connection of a client, as bytes: nothing between us and what the gateway sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from only1mcp.protocol.event_stream import EventReader

_MAX_EVENT = 1 << 24


class Line:
    """Connects when it must, and again after an end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        """Of the last response; names in lower case."""

    def close(self) -> None:
        """Break the connection off, whatever is under way on it."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def send(
        self, headers: Mapping[str, str], message: Mapping[str, Any] | None, verb: str = "POST"
    ) -> None:
        """Send one request."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = b"" if message is None else json.dumps(message).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{verb} /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the response carries: a body, or the events of a stream, up to its end."""
        await self._read_head()
        if self.headers.get("transfer-encoding") == "chunked":
            events = EventReader(_MAX_EVENT)
            async for chunk in self._chunks():
                for event in events.feed(chunk):
                    if event.data:
                        yield json.loads(event.data)
        else:
            assert self._reader is not None
            body = await self._reader.readexactly(int(self.headers.get("content-length", 0)))
            if body:
                yield json.loads(body)
        if self.headers.get("connection") == "close":
            self.close()

    async def only(self) -> dict[str, Any] | None:
        """Return the last message of the response."""
        last = None
        async for message in self.messages():
            last = message
        return last

    async def _read_head(self) -> None:
        assert self._reader is not None
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    async def _chunks(self) -> AsyncIterator[bytes]:
        reader = self._reader
        assert reader is not None
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")


LOST = (ConnectionError, asyncio.IncompleteReadError)
"""What a connection ends with whose worker was killed."""


@contextlib.asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    """Have a connection for the time of a block."""
    opened = Line(port)
    try:
        yield opened
    finally:
        opened.close()
