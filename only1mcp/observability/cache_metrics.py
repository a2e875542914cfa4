"""What the workers' caches count, as metrics and as a person reads it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from only1mcp._speedups import BYTES, ENTRIES, HITS, JOINED, MISSES
from only1mcp.observability.exposition import Family

RESULTS = {"hit": HITS, "joined": JOINED, "miss": MISSES}
"""How a call is answered whose answers are kept: from the cache, along with an equal call that was
under way already, or by a call of its own."""


def hit_ratio(shelf: Sequence[int]) -> float:
    """Return which part of the calls took no call to the server."""
    saved = shelf[HITS] + shelf[JOINED]
    return saved / max(saved + shelf[MISSES], 1)


def cache_families(shelves: Iterable[tuple[str, Sequence[int]]]) -> Iterator[Family]:
    """Yield the metric families, of servers that have anything to tell."""
    requests = Family(
        "counter",
        "only1mcp_cache_requests",
        "Calls whose answers are kept.",
        ("server_id", "result"),
    )
    ratio = Family(
        "gauge", "only1mcp_cache_hit_ratio",
        "The part of them that took no call to the server.",
        ("server_id",),
    )  # fmt: skip
    entries = Family(
        "gauge", "only1mcp_cache_entries", "Answers kept, in all workers.", ("server_id",)
    )
    size = Family("gauge", "only1mcp_cache_bytes", "What they take of memory.", ("server_id",))
    for server_id, shelf in shelves:
        if not any(shelf):
            continue
        for result, at in RESULTS.items():
            requests.add([server_id, result], shelf[at])
        ratio.add([server_id], hit_ratio(shelf))
        entries.add([server_id], shelf[ENTRIES])
        size.add([server_id], shelf[BYTES])
    yield from (requests, ratio, entries, size)


def described(server_id: str, shelf: Sequence[int]) -> dict[str, Any]:
    """Return what is counted of one server."""
    return {
        "server": server_id, "hits": shelf[HITS], "joined": shelf[JOINED],
        "misses": shelf[MISSES], "hit_ratio": round(hit_ratio(shelf), 4),
        "entries": shelf[ENTRIES], "bytes": shelf[BYTES],
    }  # fmt: skip
