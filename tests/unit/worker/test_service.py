"""What the door of a worker leads to, besides the pipeline."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from only1mcp.errors import InvalidRequest, SessionMissing, SessionNotFound
from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.instances import InstanceTable
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.observability.metrics import MetricsPlan, MetricsReader
from only1mcp.process.instances import NamedInstances
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Request
from only1mcp.sessions.session import Session
from only1mcp.worker.service import ControlGone, WorkerService
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import on_loop
from tests.support.messages import legacy
from tests.support.told import Told


class Worker:
    """A service over a desk; made on a running loop."""

    def __init__(self, control_socket: Path = Path("/nonexistent")) -> None:
        self.desk = Desk(catalogue("a", tools="x"), settled=False)
        plan = MetricsPlan(("a",))
        memory = SharedMemory(Layout(1, 1, plan.size))
        self.words = HealthWords(memory)
        self.ended: list[Session] = []
        self.service = WorkerService(
            self.desk.pipeline, self.ended.append, self.words, MetricsReader(plan, memory),
            NamedInstances(InstanceTable(memory, LOCK_FILE), ()), self.desk.edition,
            control_socket,
        )  # fmt: skip

    def request(self, session: str | None, version: str | None = None) -> Request:
        """Make a request that names a session."""
        return Request(McpHeaders(session=session, version=version), b"", "::1")


@on_loop
async def test_a_message_goes_into_the_pipeline() -> None:
    """And its answer comes out."""
    worker = Worker()
    told = Told()
    headers = McpHeaders(session=worker.desk.session())
    worker.service.handle(Request(headers, legacy("ping"), "::1"), told)
    assert told.message["result"] == {}


@on_loop
async def test_a_stream_goes_into_the_pipeline_too() -> None:
    """And is open at once."""
    worker = Worker()
    told = Told()
    worker.service.stream(worker.request(worker.desk.session()), told)
    assert told.is_open


@on_loop
async def test_only_a_session_that_lives_can_be_ended() -> None:
    """Whoever must hear of its end is told."""
    worker = Worker()
    session = worker.desk.session()
    worker.service.end_session(worker.request(session))
    assert worker.ended == [worker.desk.opened(session)]
    for name, error in ((None, SessionMissing), ("nonsense", SessionNotFound)):
        with pytest.raises(error):
            worker.service.end_session(worker.request(name))
    with pytest.raises(InvalidRequest):
        worker.service.end_session(worker.request(worker.desk.session(), version="\udcff"))


@on_loop
async def test_health_is_good_once_a_server_is_usable() -> None:
    """503 before."""
    worker = Worker()
    status, body = worker.service.health()
    assert (status, json.loads(body)) == (
        503, {"status": "unavailable", "servers": {"up": 0, "total": 1}},
    )  # fmt: skip
    worker.words.write(0, Health.UP)
    status, body = worker.service.health()
    assert (status, json.loads(body)) == (200, {"status": "ok", "servers": {"up": 1, "total": 1}})


@on_loop
async def test_a_worker_is_ready_once_all_is_settled() -> None:
    """And its metrics can be read at any time."""
    worker = Worker()
    states = [worker.service.ready()]
    worker.desk.edition.settle()
    assert [*states, worker.service.ready()] == [False, True]
    assert b"only1mcp_build_info" in worker.service.metrics()


@asynccontextmanager
async def control() -> AsyncIterator[Path]:
    """Answer on a unix socket as the control process does."""

    async def handle(request: web.BaseRequest) -> web.Response:
        return web.json_response({"path": request.path}, status=207)

    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        path = Path(folder) / "c.sock"
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.UnixSite(runner, path).start()
        try:
            yield path
        finally:
            await runner.cleanup()


@on_loop
async def test_the_admin_api_is_fetched_from_the_control_process() -> None:
    """Status and body as they are."""
    async with control() as path:
        status, body = await Worker(path).service.admin("/api/v1/admin/servers")
    assert (status, json.loads(body)) == (207, {"path": "/api/v1/admin/servers"})


@on_loop
async def test_a_control_process_that_is_gone_is_503_with_a_hint() -> None:
    """Traffic does not need it."""
    with pytest.raises(ControlGone) as caught:
        await Worker().service.admin("/api/v1/admin/servers")
    assert (caught.value.http_status, caught.value.hint) == (503, "try again in a second")
