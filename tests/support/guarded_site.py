"""A tiny HTTP server behind guards, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from only1mcp.ingress.guard import Connections, Guard
from only1mcp.ingress.held import Held
from only1mcp.ingress.limits import Limits
from tests.support.loop import eventually
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
