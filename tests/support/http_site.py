"""A small HTTP server on loopback whose answers the test writes, for the time of a block."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_site(handler: Handler) -> AsyncIterator[str]:
    """Serve every request by the handler; yields the address of `/mcp`."""
    http = web.Server(handler, handler_cancellation=True)
    server = await asyncio.get_running_loop().create_server(http, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
        await http.shutdown(0.1)


@asynccontextmanager
async def raw_site(answer: bytes, *, read: int = 1, reset: bool = False) -> AsyncIterator[str]:
    """Answer each connection with bytes, once it has sent something, and hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(read)
        writer.write(answer)
        await writer.drain()
        if reset:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
