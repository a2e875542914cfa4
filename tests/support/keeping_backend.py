"""A legacy HTTP server that keeps state for each session and speaks after its calls have ended."""

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from typing import Any

from aiohttp import web

from tests.support.counting_backend import LEGACY, MODERN, CountingBackend

LEVELS = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
URI = "kept:thing"
_LOOK_S = 0.05
_CAPABILITIES = {"tools": {}, "logging": {}, "resources": {"subscribe": True}}
_TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
_TOOLS = [{"name": name, "inputSchema": _TEXT} for name in ("echo", "remember", "speak", "wait")]


class Kept:
    """What the server knows of one session."""

    def __init__(self) -> None:
        self.ids: Counter[int] = Counter()
        """How often each request id was seen."""
        self.level = 0
        self.watched: set[str] = set()
        self.memory: list[str] = []
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_followed = False
        self.cancelled: list[int] = []
        self.waiting: dict[int, asyncio.Event] = {}
        """Calls of `wait`, by their ids."""

    def say(self, method: str, **params: Any) -> None:
        """Say something on the session's own stream."""
        self.said.put_nowait({"jsonrpc": "2.0", "method": method, "params": params})


class KeepingBackend(CountingBackend):
    """Offers `echo`; `remember`, which returns all it was told; `speak`; and `wait`.

    After `speak` it says on the session's stream what it logs, at each level, and that the
    resource has changed. `wait` is answered once it is cancelled or `release` is called.

    Args:
        eras: of `legacy` and `modern`, those that it speaks; state is kept in the former alone.
    """

    def __init__(self, *eras: str) -> None:
        super().__init__(*eras)
        self.tools = _TOOLS
        self.kept: dict[str, Kept] = {}
        """All sessions that ever were."""
        self.ended: Counter[str] = Counter()
        """How often each session was ended."""

    @property
    def now(self) -> Kept:
        """The one session that is open."""
        (session,) = self.sessions
        return self.kept[session]

    def forget(self) -> None:
        """Forget all sessions, as a restart would."""
        self.sessions.clear()

    def release(self) -> None:
        """Have all calls of `wait` answered."""
        for kept in self.kept.values():
            for event in kept.waiting.values():
                self._loop.call_soon_threadsafe(event.set)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        version = request.headers.get("MCP-Protocol-Version")
        if version == MODERN and "modern" in self._eras:
            return await super()._handle(request)
        session = request.headers.get("Mcp-Session-Id", "")
        message = await request.json() if request.method == "POST" else {}
        method = message.get("method", request.method)
        self.counts[method] += 1
        if method == "initialize":
            return self._open(message)
        if method == "DELETE":
            self.ended[session] += 1
            self.sessions.discard(session)
            return web.Response()
        if session not in self.sessions:  # so does a probe end, which names none
            return web.Response(status=404)
        kept = self.kept[session]
        if method == "GET":
            return await self._follow(request, kept)
        return await self._take(kept, method, message)

    async def _take(self, kept: Kept, method: str, message: dict[str, Any]) -> web.Response:
        if method == "notifications/cancelled":
            kept.cancelled.append(message["params"]["requestId"])
            kept.waiting[message["params"]["requestId"]].set()
        if "id" not in message:
            return web.Response(status=202)
        kept.ids[message["id"]] += 1
        result = await self._result(kept, method, message)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _open(self, message: dict[str, Any]) -> web.Response:
        session = uuid.uuid4().hex
        self.sessions.add(session)
        self.kept[session] = Kept()
        result = {"protocolVersion": LEGACY, "capabilities": _CAPABILITIES,
                  "serverInfo": {"name": "keeping", "version": "1"}}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return web.json_response(body, headers={"Mcp-Session-Id": session})

    async def _follow(self, request: web.BaseRequest, kept: Kept) -> web.StreamResponse:
        if kept.is_followed:
            return web.Response(status=409)
        kept.is_followed = True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            while request.transport is not None:  # nobody says that the client has gone
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        message = await kept.said.get()
                        await response.write(b"data: %b\n\n" % json.dumps(message).encode())
        finally:
            kept.is_followed = False
        return response

    async def _result(self, kept: Kept, method: str, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params", {})
        match method:
            case "tools/list":
                return {"tools": _TOOLS}
            case "resources/list":
                return {"resources": [{"uri": URI, "name": "thing"}]}
            case "resources/templates/list":
                return {"resourceTemplates": []}
            case "resources/subscribe":
                kept.watched.add(params["uri"])
            case "resources/unsubscribe":
                kept.watched.discard(params["uri"])
            case "logging/setLevel":
                kept.level = LEVELS.index(params["level"])
            case "tools/call":
                text = params["arguments"].get("text", "")
                self.texts[text] += 1
                said = await self._call(kept, params["name"], text, message["id"])
                return {"content": [{"type": "text", "text": said}]}
        return {}

    async def _call(self, kept: Kept, name: str, text: str, number: int) -> str:
        if name == "remember":
            kept.memory.append(text)
            return " ".join(kept.memory)
        if name == "wait":
            event = kept.waiting[number] = asyncio.Event()
            await event.wait()
        if name == "speak":
            asyncio.get_running_loop().call_later(0.05, self._speak, kept, text)
        return text

    def _speak(self, kept: Kept, text: str) -> None:
        """Say things after the call."""
        for level in LEVELS[kept.level :]:
            kept.say("notifications/message", level=level, data=f"{text} at {level}")
        for uri in kept.watched:
            kept.say("notifications/resources/updated", uri=uri)
