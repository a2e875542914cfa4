"""A small server of the HTTP+SSE transport on loopback, whose moods the test sets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from only1mcp.protocol.event_stream import encode
from only1mcp.transports.legacy_sse import LegacySseChannel
from only1mcp.transports.streamable_http import make_client
from tests.support.heard import Heard
from tests.support.http_site import http_site
from tests.support.loop import PATIENCE_S, eventually


class SseSite:
    """Opens a stream for each GET and takes each POST; says what the test tells it to say."""

    def __init__(self, greeting: bytes = encode(b"/message?sessionId=1", event="endpoint")) -> None:
        self.greeting = greeting
        """What every stream begins with."""
        self.echoes = False
        self.statuses: list[int] = []
        """How the next POSTs are answered; 202 when there is nothing left."""
        self.holds = False
        """Whether POSTs are read, but not answered until the test says so."""
        self.posted: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.streams: list[web.StreamResponse] = []
        """Those that are open."""
        self.requests: list[web.BaseRequest] = []
        self._held: deque[asyncio.Event] = deque()
        self._ends = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Serve; yields the address of the stream."""
        async with http_site(self.handle) as url:
            yield url

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        self.requests.append(request)
        self.headers.append({key.lower(): value for key, value in request.headers.items()})
        self.paths.append(f"{request.method} {request.raw_path}")
        return await (self._stream(request) if request.method == "GET" else self._take(request))

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.streams.append(response)
        try:
            await response.write(self.greeting)
            await self._ends.wait()
        finally:
            self.streams.remove(response)
        return response

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()  # not `read`, which has a limit
        self.posted.append(body)
        if self.holds:
            self._held.append(asyncio.Event())
            await self._held[-1].wait()
        status = self.statuses.pop(0) if self.statuses else 202
        if self.echoes and status == 202:
            await self.say(body)
        text = None if status == 204 else "Accepted"
        return web.Response(status=status, text=text, headers={"Location": "/elsewhere"})

    def answer_next(self) -> None:
        """Answer the POST that has been held longest."""
        self._held.popleft().set()

    def answer_all(self) -> None:
        """Hold no POST any longer."""
        self.holds = False
        while self._held:
            self.answer_next()

    async def say(self, message: bytes, event: str = "message") -> None:
        """Send an event on all streams."""
        await self.send(encode(message, event=event))

    async def send(self, raw: bytes) -> None:
        """Send bytes on all streams."""
        for stream in self.streams:
            await stream.write(raw)

    def end(self) -> None:
        """End the streams in order."""
        self._ends.set()

    def break_off(self) -> None:
        """End the streams amid their bodies."""
        for request in self.requests:
            if request.method == "GET" and request.transport is not None:
                request.transport.abort()


@asynccontextmanager
async def sse_channel(
    url: str, headers: dict[str, str] | None = None, timeout_s: float = PATIENCE_S
) -> AsyncIterator[tuple[LegacySseChannel, Heard]]:
    """Connect to such a server for the time of a block."""
    heard = Heard()
    async with make_client() as client:
        subject = await LegacySseChannel.open(client, "srv", url, headers or {}, timeout_s, heard)
        try:
            yield subject, heard
        finally:
            subject.kill()
            await eventually(subject.exited.is_set, "the channel to be gone")
