"""The consistent-hash ring, both twins: even shares, few moves, equal answers."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp import _speedups
from only1mcp._speedups import hash_ring_py

TWINS = [pytest.param(hash_ring_py, id="pure")]
if _speedups.COMPILED:
    from only1mcp._speedups import hash_ring_c  # type: ignore[attr-defined,unused-ignore]

    TWINS.append(pytest.param(hash_ring_c, id="compiled"))

KEYS = [f"key-{i}".encode() for i in range(20_000)]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("nodes", [2, 3, 10])
def test_shares_stay_within_a_tenth_of_the_mean(twin: Any, nodes: int) -> None:
    """At the default 150 virtual nodes no node carries 10 % more or less than its share."""
    ring = twin.HashRing([f"http://10.0.0.{i}:9000/mcp" for i in range(nodes)])
    shares = Counter(ring.pick(key) for key in KEYS)
    mean = len(KEYS) / nodes
    assert all(abs(shares[node] - mean) <= mean * 0.1 for node in range(nodes)), shares


@pytest.mark.parametrize("twin", TWINS)
def test_a_new_node_takes_keys_only_for_itself_and_under_a_fifth(twin: Any) -> None:
    """Every key that moves goes to the newcomer, and fewer than 20 % move."""
    names = [f"n{i}" for i in range(10)]
    before = twin.HashRing(names)
    after = twin.HashRing([*names, "n10"])
    moved = [after.pick(key) for key in KEYS if before.pick(key) != after.pick(key)]
    assert set(moved) == {10}
    assert len(moved) < len(KEYS) * 0.2


@pytest.mark.parametrize("twin", TWINS)
def test_weights_share_out_in_proportion(twin: Any) -> None:
    """A node of weight 3 gets three times the keys of a node of weight 1."""
    ring = twin.HashRing(["a", "b"], [3, 1])
    shares = Counter(ring.pick(key) for key in KEYS)
    assert 0.7 < shares[0] / len(KEYS) < 0.8


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    "args", [([],), (["a", "a"],), (["a"], [0]), (["a"], [1, 1]), (["a"], None, 0)]
)
def test_impossible_rings_are_refused(twin: Any, args: Any) -> None:
    """No node, a doubled name and numbers below 1 are errors."""
    with pytest.raises(ValueError):  # noqa: PT011 - any message will do
        twin.HashRing(*args)


@pytest.mark.skipif(not _speedups.COMPILED, reason="one twin only")
@settings(max_examples=60, deadline=None)
@given(st.sets(st.text(max_size=8), min_size=1, max_size=6), st.lists(st.binary(max_size=12)))
def test_the_twins_agree(names: set[str], keys: list[bytes]) -> None:
    """The compiled ring sends every key where the pure one does."""
    listed = sorted(names)
    pure = hash_ring_py.HashRing(listed, virtual_nodes=10)
    compiled = hash_ring_c.HashRing(listed, virtual_nodes=10)
    assert [pure.pick(key) for key in keys] == [compiled.pick(key) for key in keys]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=2, max_size=6, unique=True), st.binary(max_size=12))
def test_a_node_that_leaves_gives_up_only_its_own_keys(names: list[str], key: bytes) -> None:
    """Keys of the nodes that stay do not move."""
    ring = _speedups.HashRing(names, virtual_nodes=20)
    owner = ring.pick(key)
    gone = (owner + 1) % len(names)
    rest = [name for node, name in enumerate(names) if node != gone]
    assert rest[_speedups.HashRing(rest, virtual_nodes=20).pick(key)] == names[owner]
