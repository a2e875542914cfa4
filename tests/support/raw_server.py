"""A server made of bytes: the test reads what came, and writes what it likes instead of HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Came:
    """One request."""

    line: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def message(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def id(self) -> Any:
        """The id of the message; None of a notification."""
        return self.message.get("id")


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> Came:
        """Read one request, whose body has a length.

        Raises:
            asyncio.IncompleteReadError: the connection ended first.
        """
        async with asyncio.timeout(_PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *lines = head[:-4].decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Came(line, headers, body)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self) -> bytes:
        """Wait until the other end has closed; return what came before that."""
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def end(self) -> None:
        """Close, once everything is sent."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection."""
        self.writer.transport.abort()


Serve = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Listens; connections are served by a function, or taken by the test one after the other."""

    def __init__(self, serve: Serve | None = None) -> None:
        self.peers: list[Peer] = []
        """All connections that there ever were."""
        self.url = ""
        self._serve = serve
        self._new: asyncio.Queue[Peer] = asyncio.Queue()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Listen; yields the address of `/mcp`."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, backlog=2048)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
        try:
            yield self.url
        finally:
            server.close()
            for peer in self.peers:
                peer.reset()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        if self._serve is None:
            self._new.put_nowait(peer)
            return
        try:
            await self._serve(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has gone
        finally:
            writer.close()

    async def accept(self) -> Peer:
        """Take the next connection."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self._new.get()


def result(request_id: object, text: str = "ok", **more: Any) -> bytes:
    """Write what a modern server answers to a call."""
    content = [{"type": "text", "text": text}]
    answer = {"resultType": "complete", "content": content, **more}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": answer}).encode()


def whole(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Write a response of JSON with a length."""
    head = [b"HTTP/1.1 " + status, b"Content-Type: application/json",
            b"Content-Length: %d" % len(body), *lines]  # fmt: skip
    return b"\r\n".join([*head, b"", body])


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Write one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(data: bytes) -> bytes:
    """Write one event as most servers do."""
    return b"event: message\r\ndata: %b\r\n\r\n" % data
