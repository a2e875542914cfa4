"""A worker and the host on this loop, on real links, in front of one real child."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from only1mcp import _speedups
from only1mcp.config.loader import load_text
from only1mcp.health.manager import HealthReporter
from only1mcp.host.channel_server import ChannelServer
from only1mcp.host.host import Host
from only1mcp.links.link import serve
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.context import Context, Shared
from only1mcp.protocol.versions import Era
from only1mcp.proxy.learning import LEGACY
from only1mcp.worker.wiring import Graph, build
from tests.support import lane_child
from tests.support.lane import Worker, legacy_request, modern_request
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import eventually
from tests.support.messages import legacy, modern
from tests.support.wire import Wire


class HostedWorker(Worker):
    """A worker whose one server, `s`, is run by a host."""

    def __init__(self, graph: Graph, port: int, host: Host, era: Era) -> None:
        super().__init__(graph, port)
        self.host = host
        self._modern = era is Era.MODERN
        self._session = "" if self._modern else self.session()

    @property
    def line(self) -> Any:
        """The lane's link to the host."""
        assert self.graph.lane is not None
        return self.graph.lane._link.line

    @property
    def server(self) -> ChannelServer:
        """The server as the host has it."""
        server = self.host._roster.current("s")
        assert isinstance(server, ChannelServer)
        return server

    @property
    def under_way(self) -> int:
        """How many calls wait for the child's answer."""
        connection = self.server._replicas[0]._connection
        return 0 if connection is None else len(connection.session._calls)

    @property
    def pid(self) -> int:
        """The child's process."""
        (pid,) = self.host.child_pids()
        return pid

    def call(self, name: str, text: object = "", request_id: object = 1) -> bytes:
        """Write a call of one of the child's tools, head and all."""
        params = {"name": f"s__{name}", "arguments": {"text": text}}
        if self._modern:
            body = modern("tools/call", params, request_id=request_id)
            return modern_request("tools/call", f"s__{name}", body)
        return legacy_request(self._session, legacy("tools/call", params, request_id=request_id))

    async def ask(self, name: str, text: object = "", request_id: object = 1) -> dict[str, Any]:
        """Call a tool on a connection of its own; return the response."""
        async with self.wire() as wire:
            return await answer_to(wire, self.call(name, text, request_id))

    def asking(self, name: str, text: object = "") -> asyncio.Task[dict[str, Any]]:
        """Begin to call a tool; the task returns the response."""
        return asyncio.get_running_loop().create_task(self.ask(name, text))


async def answer_to(wire: Wire, request: bytes) -> dict[str, Any]:
    """Send a request and return the response that comes."""
    await wire.send(request)
    message: dict[str, Any] = json.loads((await wire.reply()).body)
    return message


def text_of(message: dict[str, Any]) -> str:
    """Return what a tool has said."""
    text: str = message["result"]["content"][0]["text"]
    return text


@asynccontextmanager
async def hosted_worker(
    era: Era = Era.MODERN, *, timeout_s: float = 30.0, fast: bool = True, keeps: str = "never",
    **limits: Any,
) -> AsyncIterator[HostedWorker]:  # fmt: skip
    """Serve on a port of its own; not `fast`, all takes the way over aiohttp and the pipeline.

    What tools answer is kept so long.
    """
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="o1-") as directory:
        shared = _share(Path(directory), era, timeout_s, limits, keeps)
        host = Host(Context(shared, "host"), HealthReporter("host", Path("/nobody"), b"k"))
        doors = [await serve(shared.runtime_dir.host_socket, host.link)]
        if _speedups.COMPILED:
            doors.append(await serve(shared.runtime_dir.lane_socket, host.lane.line))
        host.start()
        graph = build(Context(shared, "worker"))
        graph.link.start()
        if graph.lane is not None:
            graph.lane.reach_host()
        make = graph.make_front if fast else graph.make_guard
        server = await loop.create_server(make, "127.0.0.1", 0)
        worker = HostedWorker(graph, server.sockets[0].getsockname()[1], host, era)
        worker.parts.learning.learned(LEGACY)
        try:
            await eventually(lambda: graph.edition.settled, "the server's list")
            if fast:
                await eventually(lambda: worker.line.transport is not None, "the lane's link")
            yield worker
        finally:
            for door in (server, *doors):
                door.close()
            await _part(worker)
            await graph.http.shutdown(0.1)
            await graph.close()
            await host.stop()


async def _part(worker: HostedWorker) -> None:
    """Break all links: a loop does not end while one stands."""
    for link in (*worker.host._links, *worker.host.lane.lines):
        link.close()
    link = worker.graph.link
    await eventually(lambda: link._link is None and not worker.host._links, "the links' ends")
    await eventually(lambda: not worker.host.lane.lines, "the ends of the lane's links")
    if worker.graph.lane is not None:
        await eventually(lambda: worker.line.transport is None, "our end of the lane's link")


def _share(
    directory: Path, era: Era, timeout_s: float, limits: dict[str, Any], keeps: str
) -> Shared:
    config = {"proxy": {"timeout": f"{timeout_s}s", "limits": limits, "cache": {"enabled": True}},
              "stdio": {"allowed_commands": [sys.executable]},
              "servers": [{"id": "s", "command": sys.executable, "cache": {"tools": {"*": keeps}},
                           "args": [lane_child.__file__, era.value]}]}  # fmt: skip
    settings = load_text("test.yaml", json.dumps(config), {})
    plan = MetricsPlan(tuple(server.id for server in settings.servers))
    return Shared(
        settings=settings, memory=SharedMemory(Layout(1, 1, plan.size)),
        runtime_dir=RuntimeDir(directory), port=0, lifeline=-1, session_key=bytes(32),
        board_key=bytes(32), ended_lock=LOCK_FILE,
    )  # fmt: skip
