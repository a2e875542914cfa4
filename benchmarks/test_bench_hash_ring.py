"""Looking an instance up on the consistent-hash ring."""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import gain, growth, in_references
from benchmarks.twins import HASH_RINGS, is_compiled
from only1mcp import _speedups
from only1mcp._speedups import hash_ring_py

MOST = {True: 10.0, False: 60.0}
"""References that a look-up may cost: compiled, less than a microsecond; in Python, a few."""


def ring(twin: Any, nodes: int) -> Any:
    """Build a ring of the default density."""
    return twin.HashRing([f"http://10.0.0.{n}:9000/mcp" for n in range(nodes)])


@pytest.mark.benchmark(group="hash ring, one look-up among 10 nodes", max_time=0.3)
@pytest.mark.parametrize("twin", HASH_RINGS)
def test_a_look_up_costs_less_than_a_microsecond(benchmark: BenchmarkFixture, twin: Any) -> None:
    """Measured in look-ups of a dictionary beside it."""
    subject = ring(twin, 10)
    benchmark(subject.pick, b"search__web")
    assert in_references(lambda: subject.pick(b"search__web")) < MOST[is_compiled(twin)]


@pytest.mark.parametrize("twin", HASH_RINGS)
def test_a_look_up_hardly_grows_with_the_nodes(twin: Any) -> None:
    """A hundred times the nodes are seven more steps, not a hundred times the cost."""
    few, many = ring(twin, 3), ring(twin, 300)
    assert growth(lambda: few.pick(b"x"), lambda: many.pick(b"x")) < 4.0


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one twin only")
def test_the_compiled_ring_is_worth_having() -> None:
    """It is several times as quick."""
    pure = ring(hash_ring_py, 10)
    compiled = ring(_speedups, 10)
    assert gain(lambda: compiled.pick(b"search__web"), lambda: pure.pick(b"search__web")) > 2
