"""Choosing an instance for a call, by each algorithm."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import gain, in_references
from benchmarks.twins import BALANCERS
from only1mcp import _speedups
from only1mcp._speedups import ALGORITHMS
from only1mcp.memory.instances import loose

FEW, MANY = 3, 10
MOST = {(True, FEW): 10.0, (True, MANY): 16.0, (False, FEW): 200.0, (False, MANY): 800.0}
"""References that a choice may cost: compiled, about a microsecond at the most, the call from
Python included that the fast lane does without; in Python, what does not show beside a call."""
NAMES = pytest.mark.parametrize("algorithm", ALGORITHMS)


def picking(twin: SimpleNamespace, algorithm: str, count: int) -> Callable[[], object]:
    """Return a choice among so many instances of different weights, all with calls under way."""
    gauges = [as_twin(twin, n) for n in range(count)]
    shares = [(1 + n % 3, False) for n in range(count)]
    ring = twin.HashRing([f"http://10.0.0.{n}:9000/mcp" for n in range(count)])
    balancer = twin.Balancer(
        ALGORITHMS.index(algorithm), gauges, shares, ring, 25, 0, os.urandom
    )  # fmt: skip
    return lambda: balancer.pick(7, False, 0)


def as_twin(twin: SimpleNamespace, load: int) -> Any:
    """Return what is known of an instance that has so many calls under way."""
    known = loose().gauge
    gauge = twin.Gauge(known.row, known.columns, 0)
    for _ in range(load):
        gauge.enter()
    return gauge


@pytest.mark.benchmark(group="load balancers, one choice among 3 instances", max_time=0.2)
@pytest.mark.parametrize("twin", BALANCERS)
@NAMES
def test_choosing_among_few_costs_less_than_a_microsecond(
    benchmark: BenchmarkFixture, twin: SimpleNamespace, algorithm: str
) -> None:
    """As many as most servers have."""
    pick = picking(twin, algorithm, FEW)
    benchmark(pick)
    assert in_references(pick) < MOST[twin.is_compiled, FEW]


@pytest.mark.benchmark(group="load balancers, one choice among 10 instances", max_time=0.2)
@pytest.mark.parametrize("twin", BALANCERS)
@NAMES
def test_choosing_among_many_costs_little_more(
    benchmark: BenchmarkFixture, twin: SimpleNamespace, algorithm: str
) -> None:
    """Each of them is looked at, though."""
    pick = picking(twin, algorithm, MANY)
    benchmark(pick)
    assert in_references(pick) < MOST[twin.is_compiled, MANY]


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one twin only")
@NAMES
def test_the_compiled_balancer_is_worth_having(algorithm: str) -> None:
    """It is several times as quick."""
    pure, compiled = (picking(one.values[0], algorithm, MANY) for one in BALANCERS)
    assert gain(compiled, pure) > 3
