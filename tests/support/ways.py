"""All doors over a fake service, behind the guard, on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from only1mcp.auth.access import Access
from only1mcp.backends.call import Cancel
from only1mcp.ingress import sse_door, websocket_door
from only1mcp.ingress.channels import Channels
from only1mcp.ingress.guard import Connections, Guard
from only1mcp.ingress.http_door import HttpDoor
from only1mcp.ingress.limits import Limits
from only1mcp.ingress.origin import OriginCheck
from only1mcp.ingress.sse_door import SseDoor
from only1mcp.ingress.websocket_door import WebSocketDoor
from only1mcp.proxy.exchange import Exchange, Request
from tests.support.door import FakeService
from tests.support.loop import eventually

LIMITS = Limits(max_body=5000, header_timeout_s=0.2, idle_timeout_s=0.3)


@dataclass(slots=True)
class Posted:
    """A message that was passed on to another worker."""

    address: str
    request: Request
    exchange: Exchange
    on_gone: Callable[[], None]


class FakePosts:
    """Implements `Posts`; remembers."""

    address = "1.0"

    def __init__(self) -> None:
        self.posted: list[Posted] = []

    def post(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Take a message for another worker's channel."""
        self.posted.append(Posted(address, request, exchange, on_gone))
        return lambda: None


class Ways:
    """A worker's doors; the service answers at once unless told not to."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.service = FakeService()
        self.channels = Channels()
        self.posts = FakePosts()
        self.connections = Connections(100)
        self._limits = limits
        self.sse = SseDoor(self.service, self.channels, self.posts)
        socket = WebSocketDoor(self.service, self.channels, limits.max_body)
        self._door = HttpDoor(
            self.service, OriginCheck((), ()), Access(),
            {
                websocket_door.PATH: {"GET": socket.open},
                sse_door.STREAM_PATH: {"GET": self.sse.open},
                sse_door.POST_PATH: {"POST": self.sse.post},
            },
        )  # fmt: skip

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Serve; yields the port."""
        http = web.Server(self._door.handle, handler_cancellation=True, access_log=None)

        def make_guard() -> Guard:
            path = websocket_door.PATH.encode()
            return Guard(http, self._limits, self.connections, path)

        server = await asyncio.get_running_loop().create_server(make_guard, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await http.shutdown(0.1)
            await eventually(lambda: self.connections.open == 0, "all connections to be gone")
