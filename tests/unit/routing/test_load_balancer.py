"""Which instance carries the next call."""

from collections import Counter
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.registry.server import Instance
from only1mcp.routing.load_balancer import ConsistentHash, RoundRobin, make_load_balancer

WEIGHTS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def instances(*weights: int) -> list[Instance]:
    """Return one instance for each weight."""
    return [Instance(f"http://h:{n}/mcp", weight) for n, weight in enumerate(weights)]


@given(WEIGHTS, st.integers(1, 4))
def test_round_robin_gives_each_instance_exactly_its_share(weights: list[int], rounds: int) -> None:
    """After every whole round to the call, not on average."""
    balancer = RoundRobin(instances(*weights))
    picked = Counter(balancer.pick(b"any") for _ in range(sum(weights) * rounds))
    assert picked == {index: weight * rounds for index, weight in enumerate(weights)}


@given(WEIGHTS)
def test_round_robin_repeats_itself(weights: list[int]) -> None:
    """The order of one round is that of all."""
    balancer = RoundRobin(instances(*weights))
    period = sum(weights) // gcd(*weights)
    first = [balancer.pick(b"") for _ in range(period)]
    assert [balancer.pick(b"") for _ in range(period)] == first


@given(st.integers(2, 30))
def test_a_heavy_instance_s_turns_are_spread_out(weight: int) -> None:
    """The light ones do not wait for all of them."""
    balancer = RoundRobin(instances(weight, 1, 1))
    picked = [balancer.pick(b"") for _ in range(weight + 2)]
    others = [index for index, pick in enumerate(picked) if pick]
    assert others[1] - others[0] > weight // 3


def test_equal_weights_take_strict_turns() -> None:
    """The plain case."""
    balancer = RoundRobin(instances(1, 1, 1))
    assert [balancer.pick(b"") for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_equal_keys_reach_equal_instances(keys: list[bytes]) -> None:
    """In every worker, whatever order the calls come in."""
    one = ConsistentHash(instances(1, 2, 1), 50)
    other = ConsistentHash(instances(1, 2, 1), 50)
    assert [one.pick(key) for key in keys] == [other.pick(key) for key in keys]


def test_keys_spread_over_all_instances() -> None:
    """None is left out."""
    balancer = ConsistentHash(instances(1, 1, 1), 150)
    assert {balancer.pick(b"tool-%d" % n) for n in range(100)} == {0, 1, 2}


def test_an_instance_that_goes_takes_only_its_own_keys_along() -> None:
    """The others' caches stay warm."""
    three = instances(1, 1, 1)
    before, after = ConsistentHash(three, 100), ConsistentHash(three[:2], 100)
    for n in range(500):
        owner = before.pick(b"%d" % n)
        if owner != 2:
            assert after.pick(b"%d" % n) == owner


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("round_robin", RoundRobin), ("consistent_hash", ConsistentHash)]
)
def test_the_algorithm_is_chosen_by_name(algorithm: str, kind: type) -> None:
    """As it stands in the configuration."""
    assert type(make_load_balancer(algorithm, instances(1, 1), 10)) is kind
