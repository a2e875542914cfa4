"""Who takes the next call, on both twins: shares, loads, faults."""

import math
import os
from array import array
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp._speedups import balancer_py, gauge_py, hash_ring_py

PURE = SimpleNamespace(
    Balancer=balancer_py.Balancer, Gauge=gauge_py.Gauge, HashRing=hash_ring_py.HashRing
)
TWINS = [pytest.param(PURE, id="pure")]
if _speedups.COMPILED:
    COMPILED = SimpleNamespace(
        Balancer=_speedups.Balancer, Gauge=_speedups.Gauge, HashRing=_speedups.HashRing
    )
    TWINS.append(pytest.param(COMPILED, id="compiled"))
ALGORITHMS = balancer_py.ALGORITHMS
DRAWS = 6000
UNLIKELY = 1e-6
OPEN, HALF_OPEN = 1 << 62, 2 << 62
HEALTH, BREAKER, FACTOR, WIDTH = 1, 2, 3, 5
DOWN = 2


class Fleet:
    """Instances with a balancer before them."""

    def __init__(
        self, twin: Any, algorithm: str, weights: Sequence[int], *, spare: int = 25, panic: int = 0,
        workers: int = 1,
    ) -> None:  # fmt: skip
        def words(count: int) -> memoryview:
            return memoryview(array("Q", bytes(8 * count)))

        self.gauges = [twin.Gauge(words(8), words(8 * workers), 0) for _ in weights]
        ring = twin.HashRing([f"http://10.0.0.{n}/mcp" for n in range(len(weights))], weights)
        self.balancer = twin.Balancer(
            ALGORITHMS.index(algorithm), self.gauges, [(weight, False) for weight in weights],
            ring, spare, panic, os.urandom,
        )  # fmt: skip

    def draw(self, tried: int = 0, count: int = DRAWS) -> Counter[int]:
        """Choose again and again, by keys that are all different."""
        return Counter(
            self.balancer.pick(number * 0x9E3779B97F4A7C15 % 2**64, False, tried)
            for number in range(count)
        )


def likelihood(found: Counter[int], weights: Sequence[int]) -> float:
    """Return how likely it is that shares by weight come out so unevenly (chi-squared)."""
    total, sum_of_weights = sum(found.values()), sum(weights)
    statistic = sum(
        (found[n] - total * weight / sum_of_weights) ** 2 / (total * weight / sum_of_weights)
        for n, weight in enumerate(weights)
    )
    return _upper_gamma((len(weights) - 1) / 2, statistic / 2)


def _upper_gamma(shape: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function, by the series of the lower one."""
    if x <= 0:
        return 1.0
    term = total = 1 / shape
    for n in range(1, 2000):
        term *= x / (shape + n)
        total += term
    return max(1 - total * math.exp(-x + shape * math.log(x) - math.lgamma(shape)), 0.0)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    ("algorithm", "weights"),
    [("random", (1, 1, 1, 1)), ("weighted_random", (1, 2, 3)), ("weighted_random", (1, 1)),
     ("least_connections", (1, 1, 1)), ("least_connections", (5, 1, 2))],
)  # fmt: skip
def test_chance_gives_each_its_share(twin: Any, algorithm: str, weights: tuple[int, ...]) -> None:
    """As far as a chi-squared test can tell; nothing is under way, so load has no say."""
    assert likelihood(Fleet(twin, algorithm, weights).draw(), weights) > UNLIKELY


def test_the_test_of_shares_tells_uneven_ones() -> None:
    """A tenth too much of one would not pass."""
    assert likelihood(Counter({0: 2200, 1: 1900, 2: 1900}), (1, 1, 1)) < UNLIKELY
    assert likelihood(Counter({0: 2020, 1: 1990, 2: 1990}), (1, 1, 1)) > 0.5


@pytest.mark.parametrize("twin", TWINS)
def test_random_heeds_no_weights(twin: Any) -> None:
    """Which is what weighted_random is for."""
    assert likelihood(Fleet(twin, "random", (1, 9)).draw(), (1, 1)) > UNLIKELY


@pytest.mark.parametrize("twin", TWINS)
def test_keys_spread_over_the_ring_within_a_tenth(twin: Any) -> None:
    """And follow the weights."""
    for weights in ((1, 1, 1, 1), (1, 2, 1)):
        found = Fleet(twin, "consistent_hash", weights).draw(count=20_000)
        for place, weight in enumerate(weights):
            assert abs(found[place] / 20_000 / (weight / sum(weights)) - 1) < 0.1


@pytest.mark.parametrize("twin", TWINS)
def test_fewer_than_a_fifth_of_the_keys_move_when_an_instance_joins_five(twin: Any) -> None:
    """Those that go to the new one, and no others."""
    five = Fleet(twin, "consistent_hash", (1,) * 5).balancer
    six = Fleet(twin, "consistent_hash", (1,) * 6).balancer
    keys = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(4000)]
    moved = [key for key in keys if five.pick(key, False, 0) != six.pick(key, False, 0)]
    assert len(moved) < 0.2 * len(keys)
    assert {six.pick(key, False, 0) for key in moved} == {5}


@pytest.mark.parametrize("twin", TWINS)
def test_the_load_of_all_workers_counts(twin: Any) -> None:
    """Of two that are drawn, the one with less under way for its weight takes the call."""
    fleet = Fleet(twin, "least_connections", (1, 1), workers=3)
    fleet.gauges[0].columns[16] = 5  # of another worker
    fleet.gauges[0].row[WIDTH] = 24
    assert fleet.draw(count=50) == {1: 50}
    for _ in range(6):
        fleet.gauges[1].enter()
    assert fleet.draw(count=50) == {0: 50}
    heavy = Fleet(twin, "least_connections", (1, 10))
    heavy.gauges[0].enter()
    for _ in range(9):
        heavy.gauges[1].enter()
    assert heavy.draw(count=50) == {1: 50}


@pytest.mark.parametrize("twin", TWINS)
def test_load_evens_out_when_calls_take_unequally_long(twin: Any) -> None:
    """Where calls never end on one instance, it soon gets no more of them."""
    fleet = Fleet(twin, "least_connections", (1, 1, 1))
    for _ in range(300):
        place = fleet.balancer.pick(0, False, 0)
        fleet.gauges[place].enter()
        if place != 0:
            fleet.gauges[place].leave()
    assert fleet.gauges[0].in_flight < 10


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_cannot_take_a_call_gets_none(twin: Any, algorithm: str) -> None:
    """Down, with an open breaker, or tried already."""
    fleet = Fleet(twin, algorithm, (1, 1, 1, 1))
    fleet.gauges[0].row[HEALTH] = DOWN
    fleet.gauges[1].row[BREAKER] = OPEN
    assert set(fleet.draw(count=300)) == {2, 3}
    assert set(fleet.draw(tried=0b100, count=300)) == {3}
    fleet.gauges[3].row[BREAKER] = HALF_OPEN
    assert set(fleet.draw(count=50)) == {2}


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nobody_is_believed_to_be_down_when_all_are(twin: Any, algorithm: str) -> None:
    """A wrong verdict on all must not end all calls; an open breaker does."""
    fleet = Fleet(twin, algorithm, (1, 1))
    for gauge in fleet.gauges:
        gauge.row[HEALTH] = DOWN
    assert set(fleet.draw(count=300)) == {0, 1}
    fleet.gauges[0].row[BREAKER] = OPEN
    assert set(fleet.draw(count=50)) == {1}
    fleet.gauges[1].row[BREAKER] = OPEN
    assert set(fleet.draw(count=50)) == {-1}


@pytest.mark.parametrize("twin", TWINS)
def test_verdicts_are_not_heeded_below_the_panic_threshold(twin: Any) -> None:
    """Where one is configured: few would not bear the load of all."""
    fleet = Fleet(twin, "random", (1, 1, 1, 1), panic=50)
    fleet.gauges[0].row[HEALTH] = fleet.gauges[1].row[HEALTH] = DOWN
    assert set(fleet.draw(count=300)) == {2, 3}
    fleet.gauges[2].row[HEALTH] = DOWN
    assert set(fleet.draw(count=300)) == {0, 1, 2, 3}


@pytest.mark.parametrize("twin", TWINS)
def test_a_key_whose_owner_is_busy_goes_to_the_next(twin: Any) -> None:
    """With a bound on the load; without one, and for sessions, it stays."""
    bounded, free = (Fleet(twin, "consistent_hash", (1, 1, 1), spare=n) for n in (25, 0))
    owner = bounded.balancer.pick(7, False, 0)
    for fleet in (bounded, free):
        for _ in range(10):
            fleet.gauges[owner].enter()
    assert bounded.balancer.pick(7, False, 0) != owner
    assert bounded.balancer.pick(7, True, 0) == owner
    assert free.balancer.pick(7, False, 0) == owner


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("algorithm", ["round_robin", "weighted_random", "least_connections"])
def test_an_adjusted_weight_changes_the_share(twin: Any, algorithm: str) -> None:
    """In thousandths; none at all is a whole one."""
    fleet = Fleet(twin, algorithm, (2, 1))
    fleet.gauges[0].row[FACTOR] = 250
    assert likelihood(fleet.draw(), (1, 2)) > UNLIKELY


@pytest.mark.parametrize("twin", TWINS)
def test_too_many_instances_are_refused(twin: Any) -> None:
    """There is a bit for each of 64."""
    with pytest.raises(ValueError, match="64"):
        Fleet(twin, "random", (1,) * 65)


@pytest.mark.parametrize("twin", TWINS)
def test_a_gauge_counts_what_is_under_way_and_how_it_ends(twin: Any) -> None:
    """In the column of its worker; a successor begins at nought."""
    row, columns = (memoryview(array("Q", bytes(8 * n))) for n in (8, 16))
    gauge = twin.Gauge(row, columns, 1)
    gauge.enter()
    gauge.enter()
    gauge.leave()
    gauge.note(1500, False)
    gauge.note(0, True)
    assert columns.tolist() == [0] * 8 + [1, 2, 1, 1500, 0, 0, 0, 0]
    columns[0] = 4
    assert (gauge.load(), gauge.calls(), gauge.is_closed()) == (5, 2, True)
    successor = twin.Gauge(row, columns, 1)
    successor.enter()
    assert successor.load() == 5
