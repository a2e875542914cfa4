"""Calls to a server whose circuit breakers are open: refused in the lane as on the common way."""

import hashlib
import json
import logging
import time
from typing import Any, cast

import pytest

from only1mcp import _speedups
from only1mcp.observability.metrics import HISTOGRAM, STATUSES
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.versions import Era
from tests.support.kept import WAYS, keeping, taken
from tests.support.lane import HEAD, Worker, call, lane_worker, legacy_call
from tests.support.loop import on_loop
from tests.support.scripted_server import ScriptedServer
from tests.support.wire import Reply, Wire

COMPILED = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")
OPEN, HALF_OPEN, PROBES, BREAKER = 1, 2, 52, 2
KEY = "o1_ann-0123456789abcdefghij"


def gauges(worker: Worker) -> list[Any]:
    """Return what is known of each instance of the server."""
    line: Any = worker.parts.means.backends["s"]
    found: list[Any] = line.inner.instances.gauges
    return found


def shut(worker: Worker, left_s: float = 20.0, state: int = OPEN, probes: int = 0) -> None:
    """Open the breakers, each of which stays so for 30 s, so long ago that this time is left.

    A little more is, so that it takes a second until less is said.
    """
    since = int((time.monotonic() - 29.51 + left_s) * 1000)
    for gauge in gauges(worker):
        gauge.row[BREAKER] = state << 62 | probes << PROBES | since


async def ask(wire: Wire, request: bytes) -> Reply:
    """Send a request and return the answer."""
    await wire.send(request)
    return await wire.reply()


async def refused(wire: Wire, request: bytes) -> Reply:
    """Send a call that the breaker refuses; return the answer."""
    reply = await ask(wire, request)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (200, 32001)
    assert "gets no calls for now" in error["message"]
    return reply


def counts(worker: Worker) -> dict[str, int]:
    """Return what is counted of calls: as requests, their times, as calls to the server."""
    context, tool_call = worker.graph.context, METHODS["tools/call"].index
    row, plan = context.metrics.row, context.shared.metrics_plan
    durations, server = plan.durations + tool_call * HISTOGRAM, plan.server(0)
    return {
        "requests": row[tool_call * len(STATUSES) + STATUSES.index("circuit_open")],
        "times": sum(row[durations : durations + HISTOGRAM - 1]),
        "calls": row[server + STATUSES.index("circuit_open")],
        "latencies": sum(row[server + len(STATUSES) : server + len(STATUSES) + HISTOGRAM]),
        "client": row[plan.client(0)],
    }


@WAYS
@pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])
@on_loop
async def test_a_call_that_nobody_takes_is_refused_with_the_time_that_is_left(
    era: Era, fast: bool
) -> None:
    """Under its own id, counted as such; in the lane, where there is one."""
    server = ScriptedServer(modern=era is Era.MODERN, legacy=era is Era.LEGACY)
    async with server.open() as url, lane_worker(url, era, fast=fast) as worker:
        session = worker.session()

        def write(number: int) -> bytes:
            return call(number) if era is Era.MODERN else legacy_call(session, number)

        async with worker.wire() as wire:
            assert b'"result"' in (await ask(wire, write(0))).body
            shut(worker)
            ways, before, asked = taken(worker), counts(worker), len(server.requests)
            for number in range(1, 4):
                reply = await refused(wire, write(number))
                assert json.loads(reply.body)["id"] == number
                assert b"tried again in 20 s" in reply.body
            found = {name: count - before[name] for name, count in counts(worker).items()}
            assert found == {"requests": 3, "times": 3, "calls": 3, "latencies": 0, "client": 3}
            assert (len(server.requests), taken(worker) - ways) == (asked, 0 if fast else 3)
            shut(worker, 7)
            assert b"tried again in 7 s" in (await refused(wire, write(4))).body


@COMPILED
@on_loop
async def test_the_lane_says_what_the_common_way_says() -> None:
    """To a byte, but for the head, where the order of the lines differs."""
    replies = []
    for fast in (True, False):
        async with (
            ScriptedServer(modern=True).open() as url, lane_worker(url, fast=fast) as worker,
            worker.wire() as wire,
        ):  # fmt: skip
            await ask(wire, call(1))
            shut(worker)
            ways = taken(worker)
            replies.append(await refused(wire, call("x")))
            assert taken(worker) - ways == (0 if fast else 1)
    assert replies[0].body == replies[1].body
    assert replies[0].headers["content-type"] == replies[1].headers["content-type"]


@COMPILED
@on_loop
async def test_one_that_is_to_be_tried_gets_calls_and_no_more_than_it_may() -> None:
    """Once its time is over, and while it is half open; all that are beyond are refused."""
    server = ScriptedServer(modern=True)
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await ask(wire, call(0))
        shut(worker, state=HALF_OPEN, probes=3)  # all that it lets through are under way
        ways = taken(worker)
        await refused(wire, call(1))
        assert taken(worker) == ways
        shut(worker, state=HALF_OPEN, probes=2)
        assert b'"result"' in (await ask(wire, call(2))).body
        shut(worker, left_s=-1)
        assert b'"result"' in (await ask(wire, call(3))).body
        ways = taken(worker)
        for number in range(4, 8):
            assert b'"result"' in (await ask(wire, call(number))).body
        assert taken(worker) - ways < 4  # it is closed, and the lane has it again


@COMPILED
@on_loop
async def test_calls_are_refused_when_the_last_of_several_is_shut() -> None:
    """Not as long as one of them takes calls."""
    servers = [ScriptedServer(name, modern=True) for name in "ab"]
    async with (
        servers[0].open() as url, servers[1].open() as other,
        lane_worker(url, Era.MODERN, other) as worker, worker.wire() as wire,
    ):  # fmt: skip
        await ask(wire, call(0))
        shut(worker)
        ways = taken(worker)
        await refused(wire, call(1))
        gauges(worker)[1].row[BREAKER] = 0
        assert json.loads((await ask(wire, call(2))).body)["result"]["from"] == "b"
        assert taken(worker) == ways


@COMPILED
@on_loop
async def test_an_answer_that_is_kept_is_given_though_nobody_takes_calls() -> None:
    """Another call is refused, and nobody waits for its answer."""
    server = ScriptedServer(modern=True)
    async with (
        server.open() as url, lane_worker(url, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        await ask(wire, call(0, "a"))
        shut(worker)
        ways = taken(worker)
        assert b'"result"' in (await ask(wire, call(1, "a"))).body
        await refused(wire, call(2, "b"))
        await refused(wire, call(3, "b"))
        assert taken(worker) == ways
        shut(worker, -1)
        assert b'"result"' in (await ask(wire, call(4, "b"))).body


@WAYS
@on_loop
async def test_refused_calls_count_against_the_rate(fast: bool) -> None:
    """Who has used it up is told so, whatever the server's state."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    key = {"id": "ann", "hash": f"sha256:{digest}", "rate_limit": {"requests": 3, "per": "10h"}}
    start, line = HEAD.encode(), f"Authorization: Bearer {KEY}\r\n".encode()
    async with (
        ScriptedServer(modern=True).open() as url,
        lane_worker(url, fast=fast, config={"auth": {"keys": [key]}}) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        requests = [start + line + call(number)[len(start) :] for number in range(5)]
        await ask(wire, requests[0])
        shut(worker)
        await refused(wire, requests[1])
        await refused(wire, requests[2])
        assert (await ask(wire, requests[3])).status == 429
        assert (await ask(wire, requests[4])).status == 429


@COMPILED
@on_loop
async def test_the_log_has_a_sample_of_them(caplog: pytest.LogCaptureFixture) -> None:
    """Who called what, and why it was refused."""
    caplog.set_level(logging.INFO, logger="only1mcp.access")
    async with ScriptedServer(modern=True).open() as url, lane_worker(url) as worker:
        async with worker.wire() as wire:
            await ask(wire, call(0))
            shut(worker)
            assert worker.graph.lane is not None
            worker.graph.lane._timer.cancel()  # it would allow for more
            caplog.clear()
            worker.lane.shut_budget = 1
            for number in range(3):
                await refused(wire, call(number))
        (line,) = cast("list[Any]", caplog.records)
        said = (line.levelname, line.server, line.tool, line.outcome, line.client)
        assert said == ("WARNING", "s", "s__echo", "circuit_open", "127.0.0.1")
        assert "gets no calls for now" in line.detail


@COMPILED
@on_loop
async def test_a_worker_that_leaves_says_so_with_its_refusal() -> None:
    """And closes the connection after it."""
    async with (
        ScriptedServer(modern=True).open() as url, lane_worker(url) as worker, worker.wire() as wire
    ):  # fmt: skip
        await ask(wire, call(0))
        shut(worker)
        ways, worker.lane.draining = taken(worker), True
        assert (await refused(wire, call(1))).headers["connection"] == "close"
        assert taken(worker) == ways
