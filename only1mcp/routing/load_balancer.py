"""Which instance of a server carries the next call."""

from collections.abc import Sequence
from typing import Protocol

from only1mcp._speedups import HashRing
from only1mcp.registry.server import Instance


class LoadBalancer(Protocol):
    """Picks the place of one instance in its server's list."""

    def pick(self, key: bytes) -> int:
        """Return the index of the instance for this key."""


class RoundRobin:
    """Each instance in turn, as often as its weight says, heavy ones spread out.

    The smooth weighted form: each turn every instance gains its weight, the richest is picked and
    pays the sum of all weights.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._weights = [instance.weight for instance in instances]
        self._credit = [0] * len(self._weights)
        self._total = sum(self._weights)

    def pick(self, key: bytes) -> int:
        """Return the index of the next instance; the key plays no part."""
        del key
        credit = self._credit
        for index, weight in enumerate(self._weights):
            credit[index] += weight
        best = max(range(len(credit)), key=credit.__getitem__)
        credit[best] -= self._total
        return best


class ConsistentHash:
    """Equal keys to equal instances; few keys move when an instance comes or goes."""

    def __init__(self, instances: Sequence[Instance], virtual_nodes: int) -> None:
        self._ring = HashRing(
            [instance.url for instance in instances],
            [instance.weight for instance in instances],
            virtual_nodes,
        )

    def pick(self, key: bytes) -> int:
        """Return the index of the instance that owns the key."""
        return int(self._ring.pick(key))


def make_load_balancer(
    algorithm: str, instances: Sequence[Instance], virtual_nodes: int
) -> LoadBalancer:
    """Return the balancer of this name for these instances."""
    if algorithm == "consistent_hash":
        return ConsistentHash(instances, virtual_nodes)
    return RoundRobin(instances)
