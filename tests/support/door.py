"""The HTTP door over a fake service, on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from only1mcp.auth.access import Access
from only1mcp.backends.call import Cancel
from only1mcp.errors import SessionNotFound
from only1mcp.ingress.http_door import HttpDoor
from only1mcp.ingress.origin import OriginCheck
from only1mcp.proxy.exchange import Answer, Exchange, Request
from tests.support.wire import Reply, Wire

ACCEPT = b"Accept: application/json, text/event-stream"
STREAM = b"Accept: text/event-stream"
JSON = b"Content-Type: application/json"


class FakeService:
    """Implements `Service`; remembers what it was asked, and answers at once unless told not to."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.streams: list[Request] = []
        self.exchanges: list[Exchange] = []
        """What the answers of messages and streams go to, in the order they came."""
        self.ended: list[Request] = []
        self.admin_paths: list[str] = []
        self.cancelled = 0
        self.answer: Answer | None = Answer(200, b'{"ok":true}')
        self.is_ready = True

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Take one message."""
        self.requests.append(request)
        self.exchanges.append(exchange)
        if self.answer is not None:
            exchange.answer(self.answer)
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open a stream of the session, if it is the one that lives."""
        self.streams.append(request)
        self.exchanges.append(exchange)
        if request.headers.session != "alive":
            raise SessionNotFound("unknown session", hint="initialize again")
        exchange.open()
        return self._cancel

    def end_session(self, request: Request) -> None:
        """End the session, if it is the one that lives."""
        self.ended.append(request)
        if request.headers.session != "alive":
            raise SessionNotFound("unknown session", hint="initialize again")

    def health(self) -> tuple[int, bytes]:
        """Say that nothing is up."""
        return 503, b'{"status":"unavailable"}'

    def ready(self) -> bool:
        """Say whether requests can be served."""
        return self.is_ready

    def metrics(self) -> bytes:
        """Return an exposition."""
        return b"up 1\n"

    async def admin(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """Answer a read."""
        self.admin_paths.append(path)
        return 200, b'{"admin":true}'


class Door:
    """The door with its fake service on a real socket; pages of these origins may call."""

    def __init__(self, *origins: str) -> None:
        self.service = FakeService()
        self.door = HttpDoor(self.service, OriginCheck((), origins), Access())
        self.remote: str | None = None
        """What the peer's address is made out to be."""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.remote is not None:
            request = request.clone(remote=self.remote)
        return await self.door.handle(request)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        """Serve; yields a connection."""
        http = web.Server(self._handle, handler_cancellation=True)
        server = await asyncio.get_running_loop().create_server(http, "127.0.0.1", 0)
        try:
            async with Wire(server.sockets[0].getsockname()[1]) as wire:
                yield wire
        finally:
            server.close()
            await http.shutdown(0.1)


async def send(
    wire: Wire, method: str, path: str, *lines: bytes, body: bytes = b"", host: bytes = b"localhost"
) -> Reply:
    """Send a request with these header lines; return the response."""
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: " + host, *lines]
    if body:
        head.append(b"Content-Length: %d" % len(body))
    await wire.send(b"\r\n".join([*head, b"", b""]) + body)
    return await wire.reply()
