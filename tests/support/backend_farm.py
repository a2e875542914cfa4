"""Many modern servers in one process, which count what they are asked and fail as they are told.

Run as `python -m tests.support.backend_farm COUNT`, it prints the addresses as one line of JSON. In
a test, `Farm` is the same in a thread of the test's own process.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.support.threaded import ThreadedServer, open_site

MODERN = "2026-07-28"
HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS = [
    {"name": "look", "inputSchema": _SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": "act", "inputSchema": _SCHEMA},
]


class Server:
    """One of them."""

    def __init__(self) -> None:
        self.came: Counter[tuple[str, int]] = Counter()
        """How often each call came, by tool and number."""
        self.fails: Callable[[int], str] = lambda number: ""
        """How the call that is so many-eth ends: `lost`, `busy`, `broken`, or well."""
        self.is_unwell = False
        """Whether it fails its health checks."""
        self.takes_s = 0.0
        """How long it takes for a call."""
        self.held: asyncio.Event | None = None
        """Keeps calls until it is set."""
        self.url = ""

    @property
    def calls(self) -> int:
        """How many calls have come."""
        return sum(self.came.values())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        method, params = message["method"], message.get("params", {})
        result: dict[str, Any] = {**HINTS}
        if method == "server/discover" and self.is_unwell:
            return web.Response(status=500)
        if method == "server/discover":
            result |= {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}
        elif method == "tools/list":
            result |= {"tools": TOOLS}
        else:
            self.came[params["name"], params["arguments"].get("n", 0)] += 1
            fault = self.fails(self.calls)
            if fault == "lost" and request.transport is not None:
                request.transport.close()
            if fault in ("busy", "broken"):
                return web.Response(status=503 if fault == "busy" else 500)
            if self.held is not None:
                await self.held.wait()
            await asyncio.sleep(self.takes_s)
            result = {"resultType": "complete", "content": [{"type": "text", "text": self.url}]}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


async def serve(servers: list[Server]) -> list[web.ServerRunner]:
    """Open a port for each."""
    runners = []
    for server in servers:
        runner, server.url = await open_site(server.handle)
        runners.append(runner)
    return runners


class Farm(ThreadedServer):
    """So many of them, for the time of a block."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.servers = [Server() for _ in range(count)]
        self._runners: list[web.ServerRunner] = []

    async def _start(self) -> None:
        self._runners = await serve(self.servers)

    async def _stop(self) -> None:
        for server in self.servers:
            self.release(server)
        for runner in self._runners:
            await runner.cleanup()

    def hold(self, server: Server) -> None:
        """Answer no call of this one from now on."""
        server.held = asyncio.Event()

    def release(self, server: Server) -> None:
        """Answer those that came, and all that come."""
        held, server.held = server.held, None
        if held is not None:
            self._loop.call_soon_threadsafe(held.set)


async def _main(count: int) -> None:
    servers = [Server() for _ in range(count)]
    await serve(servers)
    print(json.dumps([server.url for server in servers]), flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
