"""An MCP server over HTTP whose moods the test sets; it speaks either era and remembers all."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from only1mcp.protocol.headers import decode_value
from tests.support.http_site import http_site
from tests.support.messages import MODERN


class ScriptedServer:
    """Answers `tools/call` with its own name; everything else as its eras demand."""

    def __init__(self, name: str = "srv", *, modern: bool = False, legacy: bool = True) -> None:
        self.name = name
        self.modern = modern
        self.legacy = legacy
        self.keeps_sessions = True
        self.sessions: set[str] = set()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """HTTP method, MCP method and the MCP headers of each request."""
        self.responses: list[web.Response] = []
        """What is answered instead to the next calls, first one first."""
        self.forgotten_status = 404
        self.capabilities: dict[str, Any] = {}
        self._opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Serve; yields the address."""
        async with http_site(self.handle) as url:
            yield url

    @property
    def methods(self) -> list[str]:
        """The MCP methods that were asked for, in order."""
        return [method for _, method, _ in self.requests]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        body = await request.read()
        message: dict[str, Any] = json.loads(body) if body else {}
        headers = {k.lower(): v for k, v in request.headers.items() if k.lower().startswith("mcp-")}
        method = message.get("method", "")
        self.requests.append((request.method, method, headers))
        if request.method == "DELETE":
            self.sessions.discard(headers.get("mcp-session-id", ""))
            return web.Response()
        if method == "tools/call" and self.responses:
            return self.responses.pop(0)
        if headers.get("mcp-protocol-version") == MODERN:
            return self._modern(message, headers)
        return self._legacy(message, headers)

    def _modern(self, message: dict[str, Any], headers: dict[str, str]) -> web.Response:
        if not self.modern:
            return error(None, -32000, 400)
        assert headers["mcp-method"] == message["method"]
        if message["method"] == "server/discover":
            return result(message["id"], {"supportedVersions": [MODERN], "capabilities": {}})
        assert decode_value(headers["mcp-name"]) == message["params"]["name"]
        return result(message["id"], {"resultType": "complete", "from": self.name})

    def _legacy(self, message: dict[str, Any], headers: dict[str, str]) -> web.Response:
        if not self.legacy:
            return error(message.get("id"), -32601, 200)
        if message["method"] == "initialize":
            return self._open_session(message)
        if self.keeps_sessions and headers.get("mcp-session-id") not in self.sessions:
            return error(None, -32600, self.forgotten_status)
        if "id" not in message:
            return web.Response(status=202)
        return result(message["id"], {"from": self.name})

    def _open_session(self, message: dict[str, Any]) -> web.Response:
        greeting = result(message["id"], {"protocolVersion": "2025-11-25",
                                                "capabilities": self.capabilities})  # fmt: skip
        if self.keeps_sessions:
            self._opened += 1
            session = f"{self.name}-{self._opened}"
            self.sessions.add(session)
            greeting.headers["Mcp-Session-Id"] = session
        return greeting


def result(request_id: object, value: object) -> web.Response:
    """Answer with a result."""
    return web.json_response({"jsonrpc": "2.0", "id": request_id, "result": value})


def error(request_id: object, code: int, status: int) -> web.Response:
    """Answer with an error."""
    body = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": "no"}}
    return web.json_response(body, status=status)
