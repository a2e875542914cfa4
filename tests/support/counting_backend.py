"""An HTTP server of either era that counts what it is asked, in a thread of this process."""

import asyncio
import uuid
from collections import Counter
from typing import Any

from aiohttp import web

from tests.support.threaded import ThreadedSite

MODERN, LEGACY = "2026-07-28", "2025-11-25"
_INFO = {"name": "counting", "version": "1"}
_ECHO = {
    "name": "echo", "description": "Say it again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}  # fmt: skip
_HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_SLOWEST_S = 0.02
_TURNS = 8


class CountingBackend(ThreadedSite):
    """Offers the tool `echo`, whose answers overtake one another.

    Args:
        eras: of `legacy` and `modern`, those that it speaks.
        revision: the one of the legacy era; with 2025-03-26 it takes batches.
    """

    def __init__(self, *eras: str, revision: str = LEGACY) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        """How often each method came in."""
        self.sessions: set[str] = set()
        """Ids of the legacy sessions that are open."""
        self.texts: Counter[str] = Counter()
        """How often each text was echoed."""
        self.forget_at = 0
        """At the call of this number all sessions are forgotten, that call's included; 0: never."""
        self.tools: list[dict[str, Any]] = [_ECHO]
        self.trips = 0
        """Posts that brought calls."""
        self._revision = revision
        self._eras = eras

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            is_end = request.method == "DELETE"
            if is_end:
                self.sessions.discard(request.headers.get("Mcp-Session-Id", ""))
            return web.Response(status=200 if is_end else 405)
        message = await request.json()
        self.trips += b'"tools/call"' in await request.read()
        if isinstance(message, list):
            return await self._batch(request, message)
        method: str = message["method"]
        self.counts[method] += 1
        modern = request.headers.get("MCP-Protocol-Version") == MODERN
        if ("modern" if modern else "legacy") not in self._eras:
            return _refuse(400, "this era is not spoken here")
        if method == "tools/call" and self.counts[method] == self.forget_at:
            self.sessions.clear()
        refused = None if modern or method == "initialize" else self._session_refused(request)
        if refused is not None:
            return refused
        if "id" not in message:
            return web.Response(status=202)
        return await self._answer(message, modern=modern)

    def _session_refused(self, request: web.BaseRequest) -> web.Response | None:
        if "Mcp-Session-Id" not in request.headers:
            return _refuse(400, "the session id is missing")
        if request.headers["Mcp-Session-Id"] not in self.sessions:
            return _refuse(404, "the session is not known")
        return None

    async def _batch(
        self, request: web.BaseRequest, messages: list[dict[str, Any]]
    ) -> web.Response:
        refused = self._session_refused(request)
        if refused is not None:
            return refused
        if self._revision != "2025-03-26":
            return _refuse(400, "there are no batches in this revision")
        for message in messages:
            self.counts[message["method"]] += 1
        answers = [self._answer(message, modern=False) for message in messages]
        whole = [answer.body for answer in await asyncio.gather(*answers)]
        body = b"[%b]" % b",".join(one for one in whole if isinstance(one, bytes))
        return web.Response(body=body, content_type="application/json")

    async def _answer(self, message: dict[str, Any], *, modern: bool) -> web.Response:
        headers = {}
        result: dict[str, Any] = {}
        match message["method"]:
            case "initialize":
                headers["Mcp-Session-Id"] = uuid.uuid4().hex
                self.sessions.add(headers["Mcp-Session-Id"])
                result = {"protocolVersion": self._revision, "capabilities": {"tools": {}},
                          "serverInfo": _INFO}  # fmt: skip
            case "server/discover":
                result = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}
            case "tools/list":
                result = {"tools": self.tools}
            case "tools/call":
                turn = self.counts["tools/call"] % _TURNS
                await asyncio.sleep(_SLOWEST_S * (1 - turn / _TURNS))  # the later ones are faster
                text = message["params"]["arguments"]["text"]
                self.texts[text] += 1
                result = {"content": [{"type": "text", "text": text}]}
        body = {"jsonrpc": "2.0", "id": message["id"],
                "result": {**result, **(_HINTS if modern else {})}}  # fmt: skip
        return web.json_response(body, headers=headers)


def _refuse(status: int, message: str) -> web.Response:
    error = {"code": -32000, "message": message}
    return web.json_response({"jsonrpc": "2.0", "id": None, "error": error}, status=status)
