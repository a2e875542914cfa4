"""A consistent-hash ring: equal keys reach equal nodes; few keys move when a node comes or goes.

Each virtual node owns `POINTS` places on a circle of 64 bits (ketama's way to even out the load
without more virtual nodes): at 150 of them the largest share stays within a tenth of the mean.
This file is the source of both twins; the types of the compiled one stand in `hash_ring_c.pxd`.
"""

from array import array
from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

POINTS = 8


class HashRing:
    """An immutable ring over the nodes 0 to n-1.

    Args:
        names: the nodes' names; a name keeps its places whatever other nodes there are.
        weights: the nodes' relative weights, each at least 1; all equal when None.
        virtual_nodes: virtual nodes for a node of weight 1.

    Raises:
        ValueError: there is no node, a name stands twice, or a number is below 1.
    """

    def __init__(
        self,
        names: Iterable[str],
        weights: Iterable[int] | None = None,
        virtual_nodes: int = 150,
    ) -> None:
        known = list(names)
        shares = [1] * len(known) if weights is None else list(weights)
        if not known or len(set(known)) != len(known):
            raise ValueError("a ring needs at least one node, each name once")
        if virtual_nodes < 1 or len(shares) != len(known) or min(shares) < 1:
            raise ValueError("virtual nodes and weights start at 1")
        places = sorted(
            (xxh3_64_intdigest(f"{name}#{point}".encode()), node)
            for node, name in enumerate(known)
            for point in range(virtual_nodes * shares[node] * POINTS)
        )
        self.size = len(places)
        self._places = array("Q", (place for place, _ in places))
        self._nodes = array("i", (node for _, node in places))

    def pick(self, key: bytes) -> int:
        """Return the node that owns the key (bytes)."""
        return self.node(self.find(xxh3_64_intdigest(key)))

    def node(self, at: int) -> int:
        """Return the node that owns the place with this number."""
        return self._nodes[at]

    def find(self, place: int) -> int:
        """Return the number of the first place at or after this one, going round."""
        low = 0
        high = self.size
        places = self._places
        while low < high:
            middle = (low + high) >> 1
            if places[middle] < place:
                low = middle + 1
            else:
                high = middle
        if low == self.size:
            low = 0
        return low
