"""An HTTP server of 2026-07-28 whose answers all differ, and which says when something changes."""

import asyncio
import json
from collections import Counter
from typing import Any

from aiohttp import web

from tests.support.threaded import ThreadedSite

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PUBLIC, PRIVATE, SHORT = "data://public", "data://private", "data://short"
_TTL_MS = {PUBLIC: 600_000, PRIVATE: 600_000, SHORT: 700}
LOG = ("notifications/message", {"level": "error", "data": "x"})
_READS = {"annotations": {"readOnlyHint": True}}


class ChangingBackend(ThreadedSite):
    """Offers the tools `look`, `ask`, `fail` and `tell`, and three resources.

    Every answer holds the number of its call, so that an answer which is given twice is seen.
    """

    SHUTDOWN_S = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        """How often each tool and each resource was asked for."""
        self.tools = ["look", "ask", "fail", "tell"]
        self.said: tuple[str, dict[str, Any]] = LOG
        """What `tell` says before its answer."""
        self._streams: dict[asyncio.Queue[bytes], str] = {}
        self._refuses_streams = False
        self._go = asyncio.Event()
        self._go.set()

    def hold(self) -> None:
        """Answer no call of a tool until `release`; its number is chosen before."""
        self._loop.call_soon_threadsafe(self._go.clear)

    def release(self) -> None:
        """Answer what was held."""
        self._loop.call_soon_threadsafe(self._go.set)

    def announce(self, method: str, **params: Any) -> None:
        """Tell whoever listens that something has changed."""

        def tell() -> None:
            for queue, subscription in self._streams.items():
                meta = {META + "subscriptionId": json.loads(subscription)}
                said = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}
                queue.put_nowait(_event(said))

        self._loop.call_soon_threadsafe(tell)

    def hang_up(self, *, refuse: bool) -> None:
        """End all streams; say whether new ones are refused from now on."""

        def end() -> None:
            self._refuses_streams = refuse
            for queue in self._streams:
                queue.put_nowait(b"")

        self._loop.call_soon_threadsafe(end)

    @property
    def streams(self) -> int:
        """How many listen."""
        return len(self._streams)

    async def _stop(self) -> None:
        self._go.set()
        for queue in self._streams:
            queue.put_nowait(b"")
        await super()._stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        if request.headers.get("MCP-Protocol-Version") != MODERN:
            return _refuse(message)
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "subscriptions/listen":
            return await self._listen(request, message)
        if message["method"] == "tools/call":
            return await self._call(request, message)
        return _answer(message, self._result(message))

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say what is asked for."""
        result: dict[str, Any] = {}
        match message["method"]:
            case "server/discover":
                told = {"listChanged": True}
                result = {
                    "supportedVersions": [MODERN],
                    "capabilities": {"tools": told, "resources": {**told, "subscribe": True}},
                }
            case "tools/list":
                result = {"tools": [_tool(name) for name in self.tools]}
            case "resources/list":
                result = {"resources": [{"uri": uri, "name": uri} for uri in _TTL_MS]}
            case "resources/templates/list":
                result = {"resourceTemplates": []}
            case "resources/read":
                return self._read(message["params"]["uri"])
        return {**result, "ttlMs": 0, "cacheScope": "private"}

    def _read(self, uri: str) -> dict[str, Any]:
        self.counts[uri] += 1
        scope = "public" if uri == PUBLIC else "private"
        text = f"{uri} {self.counts[uri]}"
        return {"contents": [{"uri": uri, "text": text}], "ttlMs": _TTL_MS[uri],
                "cacheScope": scope}  # fmt: skip

    async def _call(self, request: web.BaseRequest, message: dict[str, Any]) -> web.StreamResponse:
        name = message["params"]["name"]
        self.counts[name] += 1
        text = f"{name} {self.counts[name]}"
        result: dict[str, Any] = {"content": [{"type": "text", "text": text}]}
        if name == "ask" and "inputResponses" not in message["params"]:
            asked = {"method": "elicitation/create", "params": {
                "mode": "form", "message": text,
                "requestedSchema": {"type": "object", "properties": {}},
            }}  # fmt: skip
            result = {"resultType": "input_required", "inputRequests": {"k": asked},
                      "requestState": text}  # fmt: skip
        if name == "fail":
            result["isError"] = True
        await self._go.wait()
        if name == "tell":
            return await self._tell(request, message, result)
        return _answer(message, result)

    async def _tell(
        self, request: web.BaseRequest, message: dict[str, Any], result: dict[str, Any]
    ) -> web.StreamResponse:
        """Answer behind a message, on a stream."""
        response = await _stream(request)
        method, params = self.said
        await response.write(_event({"jsonrpc": "2.0", "method": method, "params": params}))
        whole = {"jsonrpc": "2.0", "id": message["id"],
                 "result": {"resultType": "complete", **result}}  # fmt: skip
        await response.write(_event(whole))
        return response

    async def _listen(
        self, request: web.BaseRequest, message: dict[str, Any]
    ) -> web.StreamResponse:
        if self._refuses_streams:
            return web.Response(status=503)
        response, queue = await _stream(request), asyncio.Queue[bytes]()
        subscription = json.dumps(message["id"])
        said = {"notifications": message["params"]["notifications"],
                "_meta": {META + "subscriptionId": message["id"]}}  # fmt: skip
        await response.write(_event({
            "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": said,
        }))  # fmt: skip
        self._streams[queue] = subscription
        try:
            while event := await queue.get():
                await response.write(event)
        except ConnectionError:
            pass
        finally:
            del self._streams[queue]
        return response


class LegacyBackend(ChangingBackend):
    """The same of 2025-11-25; it has no stream of its own, and so says all on those of calls."""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        match message["method"]:
            case "initialize":
                told = {"listChanged": True}
                capabilities = {"tools": told, "resources": {**told, "subscribe": True}}
                greeting = {"protocolVersion": "2025-11-25", "capabilities": capabilities,
                            "serverInfo": {"name": "b", "version": "1"}}  # fmt: skip
                answer = _answer(message, greeting)
                answer.headers["Mcp-Session-Id"] = "one"
                return answer
            case "server/discover":
                return _refuse(message)
            case "tools/call":
                return await self._call(request, message)
        return _answer(message, self._result(message))


def _tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": name, "inputSchema": {"type": "object"},
            **(_READS if name == "look" else {})}  # fmt: skip


async def _stream(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def _event(message: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(message).encode()


def _answer(message: dict[str, Any], result: dict[str, Any]) -> web.Response:
    whole = {"resultType": "complete", **result}
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": whole})


def _refuse(message: dict[str, Any]) -> web.Response:
    error = {"code": -32601, "message": "no"}
    body = {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
    return web.json_response(body, status=400)
