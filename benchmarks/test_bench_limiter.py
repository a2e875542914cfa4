"""Taking a token of a caller's bucket, which every call of theirs does."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import gain, in_references
from benchmarks.twins import CELLS, is_compiled
from only1mcp import _speedups
from only1mcp.errors import RateLimited
from only1mcp.memory.ended_sessions import open_lock_file
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.resilience.limiter import Limiter, Rate

NOW = 10**15
RATE = Rate(1_000_000_000, 1.0, 1_000_000_000)
"""A bucket that no benchmark empties."""
EMPTY = Rate(1, 3600.0, 1)
MOST = {True: 5.0, False: 120.0}
"""References that a token may cost: in Python it takes two system calls."""
MOST_CHARGED = {True: 14.0, False: 140.0}
"""The same with the rate's numbers worked out anew, as the common way does."""
MOST_REFUSED = {True: 60.0, False: 200.0}
"""The same for a refusal, which is an exception with its words."""
TWINS = pytest.mark.parametrize("twin", CELLS)


def cells(twin: Any) -> Any:
    """Return the buckets of a gateway."""
    return twin.Cells(SharedMemory(Layout(1, 1, 1)).cells, open_lock_file())


def taking(twin: Any) -> Callable[[], object]:
    """Return the taking of one token, as the fast lane knows the rate."""
    subject = cells(twin)
    return lambda: subject.take(7, NOW, RATE.interval_ns, RATE.capacity_ns)


def charging(twin: Any, rate: Rate) -> Callable[[], object]:
    """Return a charge in the common way."""
    limiter = Limiter(cells(twin).take, lambda number: None)

    def charge() -> None:
        try:
            limiter.charge(7, rate, 1e6)
        except RateLimited:
            assert rate is EMPTY

    return charge


@pytest.mark.benchmark(group="limiter, one token", max_time=0.2)
@TWINS
def test_a_token_costs_less_than_a_microsecond(benchmark: BenchmarkFixture, twin: Any) -> None:
    """Compiled, it is a compare-and-swap; the pure twin locks one byte of a file."""
    interval, capacity = RATE.interval_ns, RATE.capacity_ns
    subject = cells(twin)
    benchmark(subject.take, 7, NOW, interval, capacity)
    assert in_references(lambda: subject.take(7, NOW, interval, capacity)) < MOST[is_compiled(twin)]


@pytest.mark.benchmark(group="limiter, one call admitted", max_time=0.2)
@TWINS
def test_admitting_a_call_is_cheap(benchmark: BenchmarkFixture, twin: Any) -> None:
    """With the time and the rate as the pipeline has them."""
    charge = charging(twin, RATE)
    benchmark(charge)
    assert in_references(charge) < MOST_CHARGED[is_compiled(twin)]


@pytest.mark.benchmark(group="limiter, one call refused", max_time=0.2)
@TWINS
def test_refusing_a_call_is_cheap(benchmark: BenchmarkFixture, twin: Any) -> None:
    """Whoever asks too much must not cost much."""
    charge = charging(twin, EMPTY)
    charge()
    benchmark(charge)
    assert in_references(charge) < MOST_REFUSED[is_compiled(twin)]


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one twin only")
def test_the_compiled_buckets_are_worth_having() -> None:
    """They are many times as quick."""
    pure, compiled = (taking(one.values[0]) for one in CELLS)
    assert gain(compiled, pure) > 3
