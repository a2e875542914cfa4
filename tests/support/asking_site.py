"""A legacy MCP server over HTTP that asks its clients during calls.

Run it as `python -m tests.support.asking_site`; it prints its address. Each session is its own: a
call on a session of another process is refused.
The tool `ask` asks on the call's stream, and says the answer and its own process.
"""

import asyncio
import itertools
import json
import os
import sys
from typing import Any

from aiohttp import web

from tests.support.threaded import open_site

sessions: set[str] = set()
asked: dict[str, "asyncio.Future[Any]"] = {}
numbers = itertools.count(1)


def event(**message: Any) -> bytes:
    """Write one event."""
    return b"data: %b\n\n" % json.dumps({"jsonrpc": "2.0", **message}).encode()


async def ask(request: web.BaseRequest, request_id: object) -> web.StreamResponse:
    """Answer a call once the client has answered."""
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    question = f"{os.getpid()}-{next(numbers)}"
    asked[question] = asyncio.get_running_loop().create_future()
    params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
    await stream.write(event(id=question, method="elicitation/create", params=params))
    said = await asked[question]
    text = json.dumps([os.getpid(), said])
    await stream.write(event(id=request_id, result={"content": [{"type": "text", "text": text}]}))
    return stream


async def handle(request: web.BaseRequest) -> web.StreamResponse:
    """Answer one HTTP request."""
    if request.method != "POST":
        return web.Response(status=405)
    message = await request.json()
    method, request_id = message.get("method"), message.get("id")
    result: dict[str, Any] = {}
    headers = {}
    if method == "initialize":
        name = f"{os.getpid()}.{next(numbers)}"
        sessions.add(name)
        headers["Mcp-Session-Id"] = name
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "asking", "version": "1"}}  # fmt: skip
    elif request.headers.get("Mcp-Session-Id") not in sessions:
        return web.json_response({"error": "no such session"}, status=404)
    elif method is None:
        asked[message["id"]].set_result(message.get("result"))
    elif method == "tools/list":
        result = {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        return await ask(request, request_id)
    if method is None or request_id is None:
        return web.Response(status=202)
    answer = {"jsonrpc": "2.0", "id": request_id, "result": result}
    return web.json_response(answer, headers=headers)


async def main() -> None:
    """Serve for ever."""
    _, url = await open_site(handle)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
