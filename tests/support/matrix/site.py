"""The transports that listen on a port, put on one."""

import asyncio
import contextlib
import uuid

import aiohttp
from aiohttp import web

from only1mcp.protocol import event_stream
from tests.support.matrix.channels import Channel
from tests.support.matrix.http import HttpService
from tests.support.matrix.server import MatrixServer


class SocketService:
    """A WebSocket, one message in a frame."""

    def __init__(self, server: MatrixServer) -> None:
        self._server = server

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one connection to its end."""
        socket = web.WebSocketResponse(protocols=["mcp"])
        await socket.prepare(request)
        outbox: asyncio.Queue[str] = asyncio.Queue()
        channel = Channel(self._server, "websocket", outbox.put_nowait)
        sending = self._server.tasks.spawn(_send(socket, outbox))
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                channel.take(frame.data)
        sending.cancel()
        channel.close()
        return socket


async def _send(socket: "web.WebSocketResponse[bool]", outbox: "asyncio.Queue[str]") -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await socket.send_str(await outbox.get())


class SseService:
    """HTTP+SSE of 2024-11-05: a stream, and an address to post to."""

    def __init__(self, server: MatrixServer) -> None:
        self._server = server
        self._channels: dict[str, Channel] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Open a stream, or take a message."""
        name = request.rel_url.query.get("session", "")
        if request.method == "GET":
            return await self._stream(request)
        if request.method != "POST" or name not in self._channels:
            return web.Response(status=404)
        self._channels[name].take((await request.read()).decode())
        return web.Response(status=202, text="Accepted")

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        name, outbox = uuid.uuid4().hex, asyncio.Queue[str]()
        channel = self._channels[name] = Channel(self._server, "sse", outbox.put_nowait)
        try:
            await response.write(f"event: endpoint\ndata: /messages?session={name}\n\n".encode())
            while True:
                await response.write(event_stream.encode((await outbox.get()).encode()))
        finally:
            del self._channels[name]
            channel.close()


def service(
    server: MatrixServer, transport: str, *, asks_on_get: bool
) -> HttpService | SocketService | SseService:
    """Return what answers HTTP requests on this transport."""
    if transport == "websocket":
        return SocketService(server)
    if transport == "sse":
        return SseService(server)
    return HttpService(server, asks_on_get=asks_on_get)


async def serve_site(server: MatrixServer, transport: str, port: int, *, asks_on_get: bool) -> None:
    """Serve until killed; the first line of standard output is the address."""
    handler = service(server, transport, asks_on_get=asks_on_get).handle
    http = web.Server(handler, handler_cancellation=True)
    site = await asyncio.get_running_loop().create_server(http, "127.0.0.1", port)
    bound = site.sockets[0].getsockname()[1]
    scheme, path = {"websocket": ("ws", "ws"), "sse": ("http", "sse")}.get(
        transport, ("http", "mcp")
    )
    print(f"{scheme}://127.0.0.1:{bound}/{path}", flush=True)  # noqa: T201
    await asyncio.get_running_loop().create_future()
