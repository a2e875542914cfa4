"""A server whose tools run as tasks: `python -m tests.support.task_server`.

It speaks 2026-07-28 alone, over HTTP or, with `--stdio`, on its standard streams. Its tools are
those that the tasks-* scenarios of the conformance suite know by heart, and some of our own. The
first line that it prints over HTTP is the endpoint's URL.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.http_site import http_site
from tests.support.messages import MODERN, OWN
from tests.support.task_tools import NEEDED, TOOLS, Refused, Task, Tasks, error

Message = dict[str, Any]
Tell = Callable[[Message], Awaitable[None]]
EXTENSION = OWN + "tasks"
_STATUS = {-32601: 404, -32021: 400, -32020: 400}


@dataclass(eq=False)
class Listener:
    """One subscription."""

    request_id: object
    ids: frozenset[str]
    tell: Tell
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class TaskServer:
    """Answers messages, whatever they came on.

    Args:
        name: what its tools say they are.
    """

    def __init__(self, name: str) -> None:
        self.tasks = Tasks(name, self._changed)
        self._listeners: set[Listener] = set()

    async def answer(self, message: Message) -> Message:
        """Return the response to a request that is no subscription."""
        params = message.get("params", {})
        try:
            result = await self._result(message["method"], params, declares(params))
        except Refused as refused:
            return {"jsonrpc": "2.0", "id": message["id"], "error": refused.error}
        whole = {"resultType": "complete", **result}
        return {"jsonrpc": "2.0", "id": message["id"], "result": whole}

    async def _result(self, method: str, params: Message, declared: bool) -> Message:
        if method == "server/discover":
            capabilities: Message = {"tools": {}, "extensions": {EXTENSION: {}}}
            return {"supportedVersions": [MODERN], "capabilities": capabilities,
                    "ttlMs": 0, "cacheScope": "private"}  # fmt: skip
        if method == "tools/list":
            tools = [tool.declaration for tool in TOOLS.values()]
            return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}
        if method == "tools/call":
            return await self.tasks.call(params, declared)
        if method not in ("tasks/get", "tasks/update", "tasks/cancel"):
            raise error(-32601, "no such method")
        if not declared:
            raise error(-32021, "the tasks extension is not declared", NEEDED)
        task = self.tasks.find(params.get("taskId"))
        if method == "tasks/get":
            return task.detailed()
        if method == "tasks/update":
            await task.update(params["inputResponses"])
        else:
            await task.cancel()
        return {}

    async def listen(self, message: Message, listener: Listener) -> None:
        """Hold a subscription until its client ends it.

        Raises:
            Refused: the client did not declare the extension.
        """
        asked = message["params"]["notifications"].get("taskIds")
        if asked is not None and not declares(message["params"]):
            raise error(-32021, "the tasks extension is not declared", NEEDED)
        listener.ids = frozenset(asked or ()) & self.tasks.ids
        self._listeners.add(listener)
        try:
            honoured = {"taskIds": sorted(listener.ids)} if listener.ids else {}
            method = "notifications/subscriptions/acknowledged"
            await listener.tell(tagged(method, {"notifications": honoured}, listener))
            await listener.ended.wait()
        finally:
            self._listeners.discard(listener)

    async def _changed(self, task: Task) -> None:
        for listener in list(self._listeners):
            if task.id in listener.ids:
                await listener.tell(tagged("notifications/tasks", task.detailed(), listener))


def declares(params: Message) -> bool:
    """Say whether a request declares the extension."""
    capabilities = params.get("_meta", {}).get(OWN + "clientCapabilities", {})
    return EXTENSION in capabilities.get("extensions", {})


def tagged(method: str, params: Message, listener: Listener) -> Message:
    """Write a notification of a subscription."""
    meta = {OWN + "subscriptionId": listener.request_id}
    return {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}


class HttpFace:
    """The server over Streamable HTTP."""

    def __init__(self, server: TaskServer) -> None:
        self._server = server

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.method != "POST":
            return web.Response(status=405)
        message: Message = json.loads(await request.read())
        if request.headers.get("MCP-Protocol-Version") != MODERN:
            return _json(_refusal(message, error(-32601, "no such method")), 200)
        wrong = _mismatch(message, request)
        if wrong:
            return _json(_refusal(message, error(-32020, wrong)))
        if message["method"] == "subscriptions/listen":
            return await self._listen(message, request)
        return _json(await self._server.answer(message))

    async def _listen(self, message: Message, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})

        async def tell(notification: Message) -> None:
            if not response.prepared:
                await response.prepare(request)
            await response.write(b"data: %b\n\n" % json.dumps(notification).encode())

        try:
            await self._server.listen(message, Listener(message["id"], frozenset(), tell))
        except Refused as refused:
            return _json(_refusal(message, refused))
        return response


def _mismatch(message: Message, request: web.BaseRequest) -> str:
    """Say which standard header does not fit the body."""
    if request.headers.get("Mcp-Method") != message["method"]:
        return "Mcp-Method"
    params = message["params"]
    named = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId",
             "tasks/cancel": "taskId"}.get(message["method"])  # fmt: skip
    if named is not None and request.headers.get("Mcp-Name") != params.get(named):
        return "Mcp-Name"
    return ""


def _refusal(message: Message, refused: Refused) -> Message:
    return {"jsonrpc": "2.0", "id": message.get("id"), "error": refused.error}


def _json(response: Message, status: int | None = None) -> web.Response:
    code = response.get("error", {}).get("code", 0)
    return web.json_response(response, status=status or _STATUS.get(code, 200))


class PipeFace:
    """The server on the standard streams."""

    def __init__(self, server: TaskServer) -> None:
        self._server = server
        self._listeners: dict[object, Listener] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer until the input ends."""
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            message = json.loads(line)
            if message["method"] == "notifications/cancelled":
                listener = self._listeners.get(message["params"]["requestId"])
                if listener is not None:
                    listener.ended.set()
            elif "id" in message:
                task = loop.create_task(self._take(message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _take(self, message: Message) -> None:
        if message["method"] != "subscriptions/listen":
            await _write(await self._server.answer(message))
            return
        listener = self._listeners[message["id"]] = Listener(message["id"], frozenset(), _write)
        try:
            await self._server.listen(message, listener)
        except Refused as refused:
            await _write(_refusal(message, refused))
        finally:
            del self._listeners[message["id"]]


async def _write(message: Message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A server whose tools run as tasks.")
    parser.add_argument("--name", default="tasks", help="what its tools say they are")
    parser.add_argument("--stdio", action="store_true", help="serve on the standard streams")
    options = parser.parse_args()
    server = TaskServer(options.name)
    if options.stdio:
        await PipeFace(server).serve()
        return
    async with http_site(HttpFace(server).handle) as url:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
