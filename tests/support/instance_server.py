"""One instance of a modern server as a process of its own: says who it is, notes what it ran.

Run it as `python -m tests.support.instance_server PORT NAME JOURNAL`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.backend_farm import HINTS, MODERN, TOOLS
from tests.support.threaded import open_site

_TAKES_S = 0.01


class Instance:
    """Answers requests."""

    def __init__(self, name: str, journal: Path) -> None:
        self._name = name
        self._journal = journal

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        result = await self._result(message["method"], message.get("params", {}))
        if result is None:
            error = {"code": -32601, "message": "no such method"}
            return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "server/discover":
            info = {"name": self._name, "version": "1"}
            return {
                **HINTS, "supportedVersions": [MODERN], "capabilities": {"tools": {}},
                "serverInfo": info,
            }  # fmt: skip
        if method == "tools/list":
            return {**HINTS, "tools": TOOLS}
        if method != "tools/call":
            return None
        if params["name"] == "act":
            with self._journal.open("a") as journal:
                journal.write(f"{params['arguments']['n']}\n")
        await asyncio.sleep(_TAKES_S)
        return {"resultType": "complete", "content": [{"type": "text", "text": self._name}]}


async def _serve(port: int, instance: Instance) -> None:
    await open_site(instance.handle, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Instance(sys.argv[2], Path(sys.argv[3]))))
