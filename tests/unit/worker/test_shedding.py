"""Requests that a worker refuses for lack of room."""

import logging
from math import inf

import pytest

from only1mcp.ingress.limits import Limits
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow
from only1mcp.observability.metrics import MetricsPlan, MetricsReader, MetricsWriter
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Request
from only1mcp.resilience.overload import CROWD, LONG_TURNS, TRIAL_EACH_S
from only1mcp.worker import shedding
from only1mcp.worker.shedding import Shedding
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy, modern, notification
from tests.support.told import Told


class Lane:
    """As much of a lane as is told of refusals."""

    refuses_after = inf
    patience_s = 0.0
    taken = refused = 0

    def __init__(self) -> None:
        self.refusals: dict[str, object] = {}


class Worker:
    """One that refuses, and its metrics."""

    def __init__(self) -> None:
        plan = MetricsPlan(("a",))
        memory = SharedMemory(Layout(0, 1, plan.size))
        ProcessRow(memory.process_row(0)).begin(1, 1)
        self.reader = MetricsReader(plan, memory)
        self.shedding = Shedding(Limits(), MetricsWriter(plan, memory.metrics_row(0)))
        self.lane = Lane()
        self.shedding.guard(self.lane)
        assert self.lane.patience_s > 0

    def fall_behind(self) -> None:
        """Have turns that are far too long."""
        for _ in range(LONG_TURNS):
            self.lane.taken += CROWD
            assert self.shedding.turned(-1e6, 60.0)

    def refuse(self, body: bytes) -> Told:
        """Return what the client is told."""
        told = Told()
        assert self.shedding.takes(Request(McpHeaders(), body, "::1"), told)
        return told


@on_loop
async def test_a_refusal_says_when_to_come_back() -> None:
    """To modern clients by status 503, to legacy ones within an answer that their SDK takes."""
    worker = Worker()
    worker.fall_behind()
    told = worker.refuse(modern("tools/call", {"name": "a__x"}, request_id="mine"))
    assert told.only.status == 503
    assert ("Retry-After", "1") in told.only.headers
    assert (told.message["id"], told.message["error"]["code"]) == ("mine", 32004)
    assert "hint: " in told.message["error"]["message"]
    told = worker.refuse(legacy("tools/call", {"name": "a__x"}))
    assert (told.only.status, told.message["error"]["code"]) == (200, 32004)
    name = b'only1mcp_requests_total{method="tools/call",status="overloaded"} 2.0'
    assert name in worker.reader.text()


@on_loop
async def test_requests_are_refused_while_the_worker_is_behind() -> None:
    """Not what takes no answer, nor what another worker has let in."""
    worker = Worker()
    body, told = modern("tools/call", {"name": "a__x"}), Told()
    assert not worker.shedding.takes(Request(McpHeaders(), body, "::1"), told)
    worker.fall_behind()
    assert worker.lane.refuses_after == worker.shedding.refuses_after < 0
    assert worker.shedding.takes(Request(McpHeaders(), body, "::1"), told)
    assert told.message["error"]["code"] == 32004
    for other in (notification("notifications/initialized"), b"garbage"):
        assert not worker.shedding.takes(Request(McpHeaders(), other, "::1"), Told())
    forwarded = Request(McpHeaders(), body, "::1", forwarded=True)
    assert not worker.shedding.takes(forwarded, Told())
    assert worker.shedding.turned(-1e6 + 1, 0.001)  # something was refused
    assert worker.shedding.turned(-1e6 + TRIAL_EACH_S, 0.001)  # it is tried whether it is over
    assert not worker.shedding.turned(-1e6 + TRIAL_EACH_S + 1, 0.001)
    assert worker.lane.refuses_after == inf


@on_loop
async def test_each_time_of_refusals_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it begins and when it is over, with how many there were."""
    monkeypatch.setattr(shedding, "OVER_S", 0.05)
    caplog.set_level(logging.INFO)
    worker = Worker()
    worker.fall_behind()
    for _ in range(5):
        worker.refuse(modern("tools/call", {"name": "a__x"}))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await eventually(lambda: len(caplog.records) > 1, "its end")
    assert "5 requests" in caplog.messages[-1]
    worker.refuse(modern("tools/call", {"name": "a__x"}))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
