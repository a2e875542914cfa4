"""A message on its way through a worker."""

import asyncio
import json

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import cost, growth
from benchmarks.one_worker import OneWorker
from only1mcp import _speedups
from only1mcp.proxy.exchange import Request
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.fake_backend import FakeBackend
from tests.support.messages import modern, modern_headers
from tests.support.told import Told

MOST = {True: 40.0, False: 250.0}
"""Times the cost of parsing a call and writing its answer with orjson, which every proxy in Python
pays at least."""
WAYS = [pytest.param(False, id="pure")]
if _speedups.COMPILED:
    WAYS.append(pytest.param(True, id="compiled"))
CALLS = 50


def answered(desk: Desk, body: bytes) -> None:
    """Take one call through the pipeline, and its answer back."""
    headers = modern_headers("tools/call", "a__x")
    told = Told()
    desk.pipeline.handle(Request(headers, body, "1.2.3.4"), told)
    assert told.only.status == 200
    desk.backends["a"].calls.clear()
    desk.outcomes.clear()
    desk.attempts.clear()


def parsed(body: bytes) -> bytes:
    """Be the reference."""
    message = orjson.loads(body)
    answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
    return orjson.dumps(answer)


@pytest.mark.gate
@pytest.mark.benchmark(group="pipeline, one call without sockets", max_time=0.3)
def test_the_pipeline_costs_little_beside_the_least_that_a_proxy_does(
    benchmark: BenchmarkFixture,
) -> None:
    """Classify, route, rewrite, account for and answer."""

    async def measured() -> float:
        desk = Desk(catalogue("a", tools="x"))
        desk.backends["a"] = FakeBackend(lambda _: tool_result("x"))
        body = modern("tools/call", {"name": "a__x", "arguments": {"text": "x" * 1000}})
        benchmark(answered, desk, body)
        return growth(lambda: parsed(body), lambda: answered(desk, body))

    assert asyncio.run(measured()) < MOST[_speedups.COMPILED]


@pytest.mark.benchmark(group=f"worker, {CALLS} calls from socket to socket", max_time=0.5)
@pytest.mark.parametrize("fast", WAYS)
def test_a_call_passes_a_worker(benchmark: BenchmarkFixture, fast: bool) -> None:
    """Backend and client included, which cost the same in both."""
    with OneWorker(fast=fast) as worker:
        benchmark(worker.calls, CALLS)


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one way only")
def test_the_fast_lane_is_worth_having() -> None:
    """It is several times as quick, though backend and client are counted in."""
    with OneWorker(fast=True) as lane, OneWorker(fast=False) as door:
        times = [
            cost(lambda: door.calls(CALLS)) / cost(lambda: lane.calls(CALLS)) for _ in range(3)
        ]
    assert max(times) > 2.0


def test_the_cost_of_a_call_grows_with_its_size_and_no_faster() -> None:
    """Sixteen times the arguments, at most about sixteen times the cost."""

    async def measured() -> float:
        desk = Desk(catalogue("a", tools="x"))
        desk.backends["a"] = FakeBackend(lambda _: tool_result("x"))
        small, large = (
            modern("tools/call", {"name": "a__x", "arguments": {"text": "x" * size}})
            for size in (20_000, 320_000)
        )
        assert len(json.loads(large)["params"]["arguments"]["text"]) == 320_000
        return growth(lambda: answered(desk, small), lambda: answered(desk, large))

    assert asyncio.run(measured()) < 2 * 16
