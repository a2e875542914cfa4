"""How the instances of a server share its calls, by its configuration."""

import json
import os
from collections import Counter
from math import gcd
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.memory.instances import loose
from only1mcp.registry.server import Instance, Routing, Server
from only1mcp.routing.load_balancer import (
    make_balancer,
    place_of,
    place_of_arguments,
    place_of_session,
)

WEIGHTS = st.lists(st.integers(1, 30), min_size=2, max_size=6)


def balancer(*weights: int, regions: str = "", **routing: Any) -> Any:
    """Return what chooses among instances of these weights, each in the region with its letter."""
    regions = regions or "a" * len(weights)
    places = tuple(
        Instance(f"http://h:{n}/mcp", weight, regions[n]) for n, weight in enumerate(weights)
    )
    server = Server("s", "http", "s", instances=places, routing=Routing(**routing))
    return make_balancer(server, [loose().gauge for _ in weights], os.urandom)


@given(WEIGHTS, st.integers(1, 4))
def test_round_robin_gives_each_instance_exactly_its_share(weights: list[int], rounds: int) -> None:
    """After every whole round to the call, not on average."""
    subject = balancer(*weights, algorithm="round_robin", sticky=False)
    picked = Counter(subject.pick(0, False, 0) for _ in range(sum(weights) * rounds))
    assert picked == {index: weight * rounds for index, weight in enumerate(weights)}


@given(WEIGHTS)
def test_round_robin_repeats_itself(weights: list[int]) -> None:
    """The order of one round is that of all."""
    subject = balancer(*weights, algorithm="round_robin", sticky=False)
    period = sum(weights) // gcd(*weights)
    first = [subject.pick(0, False, 0) for _ in range(period)]
    assert [subject.pick(0, False, 0) for _ in range(period)] == first


@given(st.integers(2, 30))
def test_a_heavy_instance_s_turns_are_spread_out(weight: int) -> None:
    """The light ones do not wait for all of them."""
    subject = balancer(weight, 1, 1, algorithm="round_robin", sticky=False)
    picked = [subject.pick(0, False, 0) for _ in range(weight + 2)]
    others = [index for index, pick in enumerate(picked) if pick]
    assert others[1] - others[0] > weight // 3


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_equal_keys_reach_equal_instances(keys: list[int]) -> None:
    """In every worker, whatever order the calls come in."""
    one = balancer(1, 2, 1, algorithm="consistent_hash", virtual_nodes=50)
    other = balancer(1, 2, 1, algorithm="consistent_hash", virtual_nodes=50)
    picked = {key: other.pick(key, False, 0) for key in reversed(keys)}
    assert {key: one.pick(key, False, 0) for key in keys} == picked


def test_an_instance_that_goes_takes_only_its_own_keys_along() -> None:
    """The others' caches stay warm."""
    three = balancer(1, 1, 1, algorithm="consistent_hash")
    two = balancer(1, 1, algorithm="consistent_hash")
    for n in range(500):
        owner = three.pick(place_of(b"%d" % n), False, 0)
        if owner != 2:
            assert two.pick(place_of(b"%d" % n), False, 0) == owner


def test_instances_of_our_own_region_come_first() -> None:
    """Others take calls only when none of them can."""
    subject = balancer(1, 1, 1, regions="aba", region="a", algorithm="random")
    assert {subject.pick(0, False, 0) for _ in range(100)} == {0, 2}
    assert {subject.pick(0, False, 0b101) for _ in range(5)} == {1}


def test_all_instances_are_equal_where_no_region_is_ours() -> None:
    """Also those that have none themselves."""
    subject = balancer(1, 1, regions="ab", algorithm="random")
    assert {subject.pick(0, False, 0) for _ in range(100)} == {0, 1}


@pytest.mark.parametrize("algorithm", ["random", "round_robin", "least_connections"])
def test_a_session_keeps_its_instance_whatever_the_algorithm(algorithm: str) -> None:
    """While others are shared out."""
    subject = balancer(1, 1, 1, algorithm=algorithm)
    of_sessions = {
        serial: {subject.pick(place_of_session(serial), True, 0) for _ in range(5)}
        for serial in range(1, 60)
    }
    assert all(len(places) == 1 for places in of_sessions.values())
    assert set().union(*of_sessions.values()) == {0, 1, 2}


def test_calls_are_placed_by_the_arguments_that_were_chosen() -> None:
    """In whatever order they stand; others make no difference, and none at all is a key too."""

    def params(**arguments: object) -> bytes:
        return json.dumps({"name": "t", "arguments": arguments}).encode()

    by_user = place_of_arguments(["user", "city"])
    assert by_user(params(user="a", city="b", x=1)) == by_user(params(x=2, city="b", user="a"))
    assert by_user(params(user="a", city="b")) != by_user(params(user="a", city="c"))
    assert by_user(params(x=1)) == by_user(params(x=2))
    by_all = place_of_arguments([])
    assert by_all(params(x=1)) != by_all(params(x=2))
    assert by_all(params(x=1, y=2)) == by_all(params(y=2, x=1)) != by_all(params(x=2, y=1))
    for without in (b"", b"{}", b'{"arguments":3}'):
        assert by_all(without) == place_of(b"")
