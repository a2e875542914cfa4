"""A whole worker on this loop, with the fast lane, in front of one server that it knows."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from only1mcp.config.loader import load_text
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.process.context import Context, Shared, plan_of
from only1mcp.protocol.versions import Era
from only1mcp.proxy.learning import LEGACY
from only1mcp.proxy.parts import Parts
from only1mcp.worker.wiring import Graph, build, wall_seconds
from tests.support.catalogues import catalogue
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import eventually
from tests.support.messages import MODERN, legacy, modern
from tests.support.wire import Wire

URI = "test://one"
HEAD = (
    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Accept: application/json, text/event-stream\r\n"
)


class Worker:
    """One worker that serves."""

    def __init__(self, graph: Graph, port: int) -> None:
        self.graph = graph
        self.port = port

    @property
    def parts(self) -> Parts:
        """What its pipeline is wired to."""
        return self.graph.pipeline._parts

    @property
    def lane(self) -> Any:
        """The compiled lane."""
        assert self.graph.lane is not None
        return self.graph.lane.lane

    @property
    def under_way(self) -> int:
        """How many calls the lane carries; none where there is none."""
        return 0 if self.graph.lane is None else self.graph.lane.lane.busy()

    def wire(self) -> Wire:
        """Return a connection, for a block."""
        return Wire(self.port)

    def session(self, version: str = "2025-11-25", capabilities: bytes = b"{}") -> str:
        """Open a legacy session; return its id."""
        sealer = self.parts.sealer
        return sealer.seal(sealer.create(version, capabilities, b"", wall_seconds()))


@asynccontextmanager
async def lane_worker(
    url: str, era: Era = Era.MODERN, *others: str, timeout_s: float = 30.0, fast: bool = True,
    routing: dict[str, Any] | None = None, config: Mapping[str, Any] | None = None,
    failures: int = 5, **limits: Any,
) -> AsyncIterator[Worker]:  # fmt: skip
    """Serve on a port of its own; the server `s` at this address has a tool `echo` and more.

    Not `fast`, all takes the way over aiohttp and the pipeline.
    """
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="o1-") as directory:
        urls = (url, *others)
        graph = _build(
            Path(directory), urls, timeout_s, routing or {}, limits, config or {}, failures
        )
        make = graph.make_front if fast else graph.make_guard
        server = await loop.create_server(make, "127.0.0.1", 0)
        worker = Worker(graph, server.sockets[0].getsockname()[1])
        _teach(worker, era)
        try:
            yield worker
        finally:
            server.close()
            await graph.http.shutdown(0.1)
            await graph.close()
            await eventually(lambda: graph.connections.open == 0, "all clients to be gone")


def _build(
    directory: Path, urls: tuple[str, ...], timeout_s: float, routing: dict[str, Any],
    limits: dict[str, Any], more: Mapping[str, Any], failures: int,
) -> Graph:  # fmt: skip
    places = [{"url": url} for url in urls]
    config = {"proxy": {"timeout": f"{timeout_s}s", "limits": limits, "routing": routing,
                        "circuit_breaker": {"failure_threshold": failures}},
              "servers": [{"id": "s", "transport": "http", "instances": places}],
              **more}  # fmt: skip
    settings = load_text("test.yaml", json.dumps(config), {})
    plan = plan_of(settings)
    shared = Shared(
        settings=settings, memory=SharedMemory(Layout(1, 1, plan.size)),
        runtime_dir=RuntimeDir(directory), port=0, lifeline=-1, session_key=bytes(32),
        board_key=bytes(32), ended_lock=LOCK_FILE,
    )  # fmt: skip
    return build(Context(shared, "worker"))


def _teach(worker: Worker, era: Era) -> None:
    """Tell the worker what its host would find out."""
    offered = catalogue("s", tools="echo", prompts="ask", resources=URI, eras=frozenset({era}))
    worker.graph.edition.update(offered)
    worker.graph.edition.settle()
    for topic in (LEGACY, *map(str, range(1, 128))):
        worker.parts.learning.learned(topic)


def call(request_id: object = 1, text: str = "x", **changes: Any) -> bytes:
    """Write a modern call of `echo`, head and all."""
    params = {"name": "s__echo", "arguments": {"text": text}, **changes}
    return modern_request(
        "tools/call", "s__echo", modern("tools/call", params, request_id=request_id)
    )


def get(path: str, *lines: bytes) -> bytes:
    """Write a GET, with a Host header first."""
    return b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (path.encode(), b"".join(lines))


def modern_request(method: str, name: str, body: bytes) -> bytes:
    """Put the headers of a modern request before a body."""
    lines = f"MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n"
    return f"{HEAD}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def legacy_call(session: str, request_id: object = 1, text: str = "x") -> bytes:
    """Write a call of `echo` on a legacy session, head and all."""
    params = {"name": "s__echo", "arguments": {"text": text}}
    return legacy_request(session, legacy("tools/call", params, request_id=request_id))


def legacy_request(session: str, body: bytes) -> bytes:
    """Put the headers of a legacy request before a body."""
    lines = f"MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n"
    return f"{HEAD}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
