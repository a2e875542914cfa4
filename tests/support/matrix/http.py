"""Streamable HTTP, raw, in both eras."""

import asyncio
import contextlib
import itertools
import json
import uuid

from aiohttp import web

from only1mcp.protocol.headers import decode_value
from tests.support.matrix.legacy import REVISIONS, LegacySession
from tests.support.matrix.modern import MODERN, ModernService
from tests.support.matrix.questions import Plain
from tests.support.matrix.server import MatrixServer

NAMED = {
    "tools/call": "name", "prompts/get": "name", "resources/read": "uri",
    "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId",
}  # fmt: skip
"""The parameter that the header Mcp-Name repeats."""
_PRIMED = "2025-11-25"
"""The revision whose streams begin with an event that carries only an id."""


class Stream:
    """The messages about one request, or of one session; implements `Exchange`.

    A legacy stream can be read again from any event on; it outlives the connection that reads it.
    """

    def __init__(self, name: str, *, has_ids: bool) -> None:
        self.name = name
        self._has_ids = has_ids
        self._events: list[str] = []
        self._is_answered = False
        self._hung_up = False
        self._wake = asyncio.Event()
        self.is_read = asyncio.Event()

    def send(self, text: str) -> None:
        """Send a message before the answer."""
        self._events.append(text)
        self._wake.set()

    def finish(self, text: str) -> None:
        """Send the answer."""
        self._is_answered = True
        self.send(text)

    def hang_up(self) -> None:
        """Break off the connection, as soon as what came so far is sent."""
        self._hung_up = True
        self._wake.set()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a POST: with JSON, if nothing comes before the answer."""
        await self._wait()
        if self._is_answered and len(self._events) == 1:
            return web.Response(text=self._events[0], content_type="application/json")
        return await self.follow(request, 0)

    async def follow(self, request: web.BaseRequest, seen: int) -> web.StreamResponse:
        """Send the events after the one that was seen last, up to the answer or a break."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if self._has_ids and not seen:
            await response.write(f"id: {self.name}-0\nretry: 10\ndata:\n\n".encode())
        self._hung_up = self._hung_up and not seen
        self.is_read.set()
        try:
            while True:
                while seen < len(self._events):
                    seen += 1
                    await response.write(self._event(seen))
                if self._is_answered or self._hung_up:
                    return response
                await self._wait()
        finally:
            self.is_read.clear()

    def _event(self, number: int) -> bytes:
        event_id = f"id: {self.name}-{number}\n" if self._has_ids else ""
        return f"event: message\n{event_id}data: {self._events[number - 1]}\n\n".encode()

    async def _wait(self) -> None:
        await self._wake.wait()
        self._wake.clear()


class _HttpSession:
    """A legacy session with its streams."""

    def __init__(self, server: MatrixServer, *, asks_on_get: bool) -> None:
        self.id = uuid.uuid4().hex
        self._own: Stream | None = None
        self._kept: list[str] = []
        self._names = itertools.count(1)
        self.streams: dict[str, Stream] = {}
        self.legacy = LegacySession(server, self._send, asks_on_session=asks_on_get)

    def open(self) -> Stream:
        """Make the stream of one request."""
        stream = Stream(f"{next(self._names)}", has_ids=self.legacy.revision >= _PRIMED)
        self.streams[stream.name] = stream
        return stream

    def follow(self) -> Stream:
        """Make the session's own stream."""
        self._own = self.open()
        for text in self._kept:
            self._own.send(text)
        self._kept.clear()
        return self._own

    def _send(self, text: str) -> None:
        if self._own is None:
            self._kept.append(text)
        else:
            self._own.send(text)


class HttpService:
    """Answers HTTP requests.

    Args:
        server: what is served.
        asks_on_get: whether legacy clients are asked on their session's own stream.
    """

    def __init__(self, server: MatrixServer, *, asks_on_get: bool) -> None:
        self._server = server
        self._asks_on_get = asks_on_get
        self._modern = ModernService(server, is_channel=False)
        self._sessions: dict[str, _HttpSession] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        raw = (await request.read()).decode()
        message: Plain = json.loads(raw) if raw else {}
        headers = {name.lower(): value for name, value in request.headers.items()}
        is_modern = headers.get("mcp-protocol-version") not in (None, *REVISIONS)
        session = self._sessions.get(headers.get("mcp-session-id", ""))
        self._server.recorder.note(
            "message", via=request.method, headers=headers, raw=raw, method=message.get("method"),
            connection=session.legacy.connection if session is not None else None,
            era="modern" if is_modern else "legacy",
        )  # fmt: skip
        if {"authorization", "cookie"} & headers.keys():
            self._server.recorder.fault("credentials that are not ours", raw)
        if is_modern and "modern" in self._server.eras:
            return await self._handle_modern(request, message, raw, headers)
        if "legacy" not in self._server.eras or is_modern:
            return web.Response(status=400 if request.method == "POST" else 405)
        return await self._handle_legacy(request, message, raw, headers)

    async def _handle_modern(
        self, request: web.BaseRequest, message: Plain, raw: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        wrong = _mismatch(message, headers)
        if wrong or "id" not in message or "method" not in message:
            self._server.recorder.fault(f"{wrong or 'no request'} in the modern era", raw)
            return web.Response(status=400)
        stream = Stream("m", has_ids=False)
        work = self._server.tasks.spawn(self._modern.serve(message, raw, stream))
        try:
            return await stream.respond(request)
        finally:
            work.cancel()

    async def _handle_legacy(
        self, request: web.BaseRequest, message: Plain, raw: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        session = self._sessions.get(headers.get("mcp-session-id", ""))
        if message.get("method") == "initialize":
            session = _HttpSession(self._server, asks_on_get=self._asks_on_get)
            self._sessions[session.id] = session
        elif session is None:
            return web.Response(status=404 if "mcp-session-id" in headers else 400)
        elif headers.get("mcp-protocol-version") != session.legacy.revision:
            self._server.recorder.fault("the version header is wrong", raw)
        if request.method == "DELETE":
            del self._sessions[session.id]
            session.legacy.close()
            return web.Response()
        if request.method == "GET":
            return await self._stream(request, session, headers)
        stream = session.open()
        session.legacy.take(message, raw, stream)
        if "id" not in message or "method" not in message:
            return web.Response(status=202)
        response = await stream.respond(request)
        if message["method"] == "initialize":
            response.headers["Mcp-Session-Id"] = session.id
        return response

    async def _stream(
        self, request: web.BaseRequest, session: _HttpSession, headers: dict[str, str]
    ) -> web.StreamResponse:
        name, _, seen = headers.get("last-event-id", "").rpartition("-")
        if name in session.streams:
            return await session.streams[name].follow(request, int(seen))
        return await session.follow().follow(request, 0)


def _mismatch(message: Plain, headers: dict[str, str]) -> str:
    """Return what the headers of a modern request say wrongly."""
    params = message.get("params") or {}
    method = message.get("method")
    if headers.get("mcp-protocol-version") != MODERN:
        return "an unknown version"
    if headers.get("mcp-method") != method:
        return "another method"
    if "mcp-session-id" in headers:
        return "a session"
    if method in NAMED:
        target = params.get(NAMED[method])
        with contextlib.suppress(ValueError):
            if decode_value(headers.get("mcp-name", "")) == target:
                return _wrong_parameter(params, headers)
        return "another name"
    return ""


def _wrong_parameter(params: Plain, headers: dict[str, str]) -> str:
    if params.get("name") != "region":
        return ""
    value = decode_value(headers.get("mcp-param-region", ""))
    return "" if value == params["arguments"]["region"] else "another region"
