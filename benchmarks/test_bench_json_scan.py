"""Finding what routing needs in a JSON-RPC body."""

import json
from typing import Any

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import gain, growth
from benchmarks.twins import JSON_SCANS, is_compiled
from only1mcp import _speedups
from only1mcp._speedups import json_scan_py

MOST = {True: 3.0, False: 60.0}
"""Times the cost of parsing the same body with orjson: the scan also notes where things stand."""


def call(size: int) -> bytes:
    """Write a call whose arguments take about so many bytes, half text and half structure."""
    arguments = {
        "text": "lorem ipsum " * (size // 24),
        "rows": [{"n": n, "x": n / 7, "ok": True} for n in range(size // 80)],
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
        "progressToken": 7,
    }
    params = {"name": "search__web", "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


@pytest.mark.benchmark(group="json scan", max_time=0.3)
@pytest.mark.parametrize("size", [100, 2_000, 100_000])
@pytest.mark.parametrize("twin", JSON_SCANS)
def test_a_scan_costs_little_more_than_parsing(
    benchmark: BenchmarkFixture, twin: Any, size: int
) -> None:
    """Though a scan alone is enough to forward the message."""
    body = call(size)
    benchmark(twin.scan, body)
    assert growth(lambda: orjson.loads(body), lambda: twin.scan(body)) < MOST[is_compiled(twin)]


@pytest.mark.parametrize("twin", JSON_SCANS)
def test_the_cost_grows_with_the_size_and_no_faster(twin: Any) -> None:
    """Twenty times the body, about twenty times the cost."""
    small, large = call(20_000), call(400_000)
    times = len(large) / len(small)
    assert growth(lambda: twin.scan(small), lambda: twin.scan(large)) < 2 * times


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one twin only")
def test_the_compiled_twin_is_worth_having() -> None:
    """It is several times as quick."""
    body = call(2_000)
    assert gain(lambda: _speedups.scan(body), lambda: json_scan_py.scan(body)) > 3
