"""An MCP server that says each nonce again, after a time that nobody can foresee.

`python -m loadtests.echo_server stdio`, `... legacy` or `... modern`; the last two are HTTP servers
and print their address. Cancellations are ignored: answers also come when nobody waits any more.
"""

import asyncio
import contextlib
import itertools
import json
import random
import secrets
import sys
from typing import Any

from aiohttp import web

MODERN, LEGACY = "2026-07-28", "2025-11-25"
SWIFT, SLOW, LATE, ASK = "swift", "slow", "late", "ask"
"""Moods of a call: a short while, long enough to be cancelled, too long, or a question first."""
_WAITS_S = {SWIFT: (0.0, 0.02), SLOW: (0.1, 0.3), LATE: (2.3, 2.5), ASK: (0.0, 0.01)}
TIMEOUT_S = 2
"""The gateway's, for a call; less than the late ones take."""
_SCHEMA = {"type": "object", "properties": {"nonce": {"type": "string"}}}
_TOOLS = [{"name": "echo", "description": "Say it again.", "inputSchema": _SCHEMA}]
_INFO = {"name": "echo", "version": "1"}
_HINTS = {"ttlMs": 60_000, "cacheScope": "private"}


async def _wait(arguments: dict[str, Any]) -> None:
    await asyncio.sleep(random.uniform(*_WAITS_S[arguments["mood"]]))


def question(nonce: str) -> dict[str, Any]:
    """Return the parameters of a question that names the call that it belongs to."""
    return {"mode": "form", "message": nonce, "requestedSchema": _SCHEMA}


def _text(nonce: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": nonce}]}


def _offer(method: str) -> dict[str, Any]:
    match method:
        case "initialize":
            return {"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": _INFO}
        case "server/discover":
            return {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, **_HINTS}
        case "tools/list":
            return {"tools": _TOOLS, **_HINTS}
    return {}


def _response(request_id: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


class StdioServer:
    """Answers the later calls first as often as not."""

    async def serve(self) -> None:
        """Answer until the input ends."""
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                message = json.loads(line)
                if "id" in message:
                    group.create_task(self._answer(message))

    async def _answer(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "server/discover":
            answer["error"] = {"code": -32601, "message": "Method not found"}
        elif message["method"] == "tools/call":
            arguments = message["params"]["arguments"]
            await _wait(arguments)
            answer["result"] = _text(arguments["nonce"])
        else:
            answer["result"] = _offer(message["method"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class HttpServer:
    """Speaks one era; answers with JSON or a stream, as it pleases."""

    def __init__(self, *, modern: bool) -> None:
        self._modern = modern
        self._sessions: set[str] = set()
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def serve(self) -> None:
        """Answer for ever."""
        runner = web.ServerRunner(web.Server(self._handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/mcp", flush=True)
        await asyncio.Event().wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        session = request.headers.get("Mcp-Session-Id", "")
        if request.method != "POST":
            self._sessions.discard(session)
            return web.Response(status=200 if request.method == "DELETE" else 405)
        message = await request.json()
        is_modern = request.headers.get("MCP-Protocol-Version") == MODERN
        if is_modern != self._modern:
            return web.json_response({"error": "another era"}, status=400)
        method = message.get("method", "")
        if not is_modern and method != "initialize" and session not in self._sessions:
            return web.json_response({"error": "no such session"}, status=404)
        if not method:
            self._hear(message)
        if not method or "id" not in message:
            return web.Response(status=202)
        if method == "tools/call":
            return await self._call(request, message)
        return self._greet(message)

    def _hear(self, message: dict[str, Any]) -> None:
        answer = self._asked.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message["result"])

    def _greet(self, message: dict[str, Any]) -> web.Response:
        headers = {}
        if message["method"] == "initialize":
            headers["Mcp-Session-Id"] = secrets.token_hex(8)
            self._sessions.add(headers["Mcp-Session-Id"])
        body = _response(message["id"], self._complete(_offer(message["method"])))
        return web.json_response(body, headers=headers)

    def _complete(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"resultType": "complete", **result} if self._modern else result

    async def _call(self, request: web.BaseRequest, message: dict[str, Any]) -> web.StreamResponse:
        params = message["params"]
        arguments = params["arguments"]
        nonce: str = arguments["nonce"]
        await _wait(arguments)
        result = self._complete(_text(nonce))
        if arguments["mood"] == ASK and not self._modern:
            return await self._ask(request, message["id"], nonce)
        if arguments["mood"] == ASK:
            result = _ask_modern(params, nonce)
        body = _response(message["id"], result)
        if random.random() < 0.5:
            return web.json_response(body)
        return web.Response(text=_event(body), content_type="text/event-stream")

    async def _ask(
        self, request: web.BaseRequest, request_id: Any, nonce: str
    ) -> web.StreamResponse:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        asked = {"jsonrpc": "2.0", "id": number, "method": "elicitation/create"}
        with contextlib.suppress(ConnectionError, TimeoutError):  # the asking worker was killed
            await stream.write(_event({**asked, "params": question(nonce)}).encode())
            said = (await asyncio.wait_for(answer, 10))["content"]["nonce"]
            await stream.write(_event(_response(request_id, _text(_agreed(nonce, said)))).encode())
        del self._asked[number]
        return stream


def _ask_modern(params: dict[str, Any], nonce: str) -> dict[str, Any]:
    if "inputResponses" not in params:
        asked = {"method": "elicitation/create", "params": question(nonce)}
        return {
            "resultType": "input_required", "inputRequests": {"q": asked}, "requestState": nonce,
        }  # fmt: skip
    said = params["inputResponses"]["q"]["content"]["nonce"]
    agreed = _agreed(_agreed(nonce, said), params["requestState"])
    return {"resultType": "complete", **_text(agreed)}


def _agreed(nonce: str, said: str) -> str:
    """Return the nonce, if that is what the client has said; a client sees the rest."""
    return nonce if said == nonce else f"{nonce} was answered by {said}"


def _event(message: dict[str, Any]) -> str:
    return f"event: message\ndata: {json.dumps(message)}\n\n"


def main() -> None:
    """Serve as the argument says."""
    kind = sys.argv[1]
    server = StdioServer() if kind == "stdio" else HttpServer(modern=kind == "modern")
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
