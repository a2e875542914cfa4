"""A small WebSocket server on loopback whose side of the talk the test writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.http_site import http_site

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]
LARGE = 64 * 1024 * 1024


@asynccontextmanager
async def ws_site(
    talk: Talk, *, autoping: bool = True, autoclose: bool = True
) -> AsyncIterator[str]:
    """Carry on a talk on every connection that offers `mcp`; yields the address."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=["mcp"], autoping=autoping, autoclose=autoclose, max_msg_size=LARGE
        )
        await socket.prepare(request)
        await talk(socket)
        return socket

    async with http_site(handle) as url:
        yield url.replace("http://", "ws://")


async def echo(socket: web.WebSocketResponse) -> None:
    """Send back every text."""
    async for message in socket:
        await socket.send_str(message.data)


async def listen(socket: web.WebSocketResponse) -> None:
    """Read to the end and say nothing."""
    async for _ in socket:
        pass
