"""How the instances of a server share its calls: what chooses, and what places a call."""

from collections.abc import Callable, Sequence
from math import gcd

from xxhash import xxh3_64_intdigest

from only1mcp._speedups import ALGORITHMS, Balancer, Gauge, HashRing, members
from only1mcp.registry.server import Server

Key = Callable[[bytes], int]
"""Takes the parameters of a call, and returns what places it on the ring."""


def make_balancer(
    server: Server, gauges: Sequence[Gauge], entropy: Callable[[int], bytes]
) -> Balancer:
    """Return what chooses among the instances of a server.

    Args:
        server: whose instances they are.
        gauges: what is known of each.
        entropy: returns so many random bytes.
    """
    routing = server.routing
    places = server.places
    near = bool(routing.region)
    shares = [(place.weight, near and place.region == routing.region) for place in places]
    ring = None
    if len(places) > 1 and (routing.sticky or routing.algorithm == "consistent_hash"):
        unit = gcd(*(place.weight for place in places))
        ring = HashRing(
            [place.url for place in places], [place.weight // unit for place in places],
            routing.virtual_nodes,
        )  # fmt: skip
    return Balancer(
        ALGORITHMS.index(routing.algorithm), gauges, shares, ring, routing.spare_percent,
        routing.panic_percent, entropy,
    )  # fmt: skip


def place_of(key: bytes) -> int:
    """Return where on the ring a key belongs."""
    return int(xxh3_64_intdigest(key))


def place_of_session(serial: int) -> int:
    """Return where a legacy session belongs; never 0."""
    return place_of(b"%d" % serial) | 1


def place_of_principal(principal_id: str) -> int:
    """Return where the calls of a principal belong; 0 where anyone may call."""
    return place_of(principal_id.encode()) | 1 if principal_id else 0


def place_of_arguments(names: Sequence[str]) -> Key:
    """Return what places a call by some of its arguments, or by all when none are named.

    In any order; their values as they are written.
    """
    chosen = frozenset(names)

    def place(params: bytes) -> int:
        spans = {key: (a, b) for key, a, b in members(params, 0)} if params else {}
        start, _ = spans.get("arguments", (0, 0))
        if params[start : start + 1] != b"{":
            return place_of(b"")
        named = members(params, start)
        values = {key: params[a:b] for key, a, b in named if not chosen or key in chosen}
        return place_of(b"\0".join(b"%b=%b" % (k.encode(), values[k]) for k in sorted(values)))

    return place
