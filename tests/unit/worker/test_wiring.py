"""The object graph of a worker: built of real parts, and taken down again."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from only1mcp.backends.call import FutureSink, Outgoing
from only1mcp.config.loader import load_text
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.context import Context, Shared
from only1mcp.protocol.versions import Era
from only1mcp.worker.wiring import Graph, build
from tests.support.http_site import http_site
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import on_loop
from tests.support.scripted_server import ScriptedServer

CALL = Outgoing("tools/call", b'{"name":"x"}', Era.LEGACY, "x")


def wired(directory: Path, urls: list[str]) -> Graph:
    """Build the graph of a worker in front of these HTTP servers; call it on a running loop."""
    lines = [f"  - {{id: s{number}, url: '{url}'}}\n" for number, url in enumerate(urls)]
    settings = load_text("test.yaml", "servers:\n" + "".join(lines), {})
    plan = MetricsPlan(tuple(server.id for server in settings.servers))
    shared = Shared(
        settings=settings, memory=SharedMemory(Layout(1, len(urls), plan.size)),
        runtime_dir=RuntimeDir(directory), port=0, lifeline=-1, session_key=bytes(32),
        board_key=bytes(32), ended_lock=LOCK_FILE,
    )  # fmt: skip
    return build(Context(shared, "worker"))


class SlowGoodbye(ScriptedServer):
    """Lets go of its session only once all of these servers are asked to."""

    def __init__(self, name: str, asked: asyncio.Barrier) -> None:
        super().__init__(name)
        self._asked = asked
        self.let_go = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.method == "DELETE":
            await self._asked.wait()
            self.let_go = True
        return await super().handle(request)


@on_loop
async def test_sessions_with_all_servers_are_ended_together(tmp_path: Path) -> None:
    """One server that is slow to let go does not take the time of the others."""
    asked = asyncio.Barrier(3)
    servers = [SlowGoodbye(name, asked) for name in "abc"]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(http_site(server.handle)) for server in servers]
        graph = wired(tmp_path, urls)
        for backend in graph.backends.values():
            sink = FutureSink()
            backend.call(CALL, sink)
            await sink.wait(30.0)
        await graph.close()
        assert [server.let_go for server in servers] == [True] * 3
