"""What the caches count, in figures."""

from only1mcp.observability.cache_metrics import cache_families, described, hit_ratio

SHELF = [6, 2, 2, 3, 900]


def test_calls_that_took_no_call_to_the_server_are_the_ratio() -> None:
    """Those that waited for another's answer too; without calls there is none."""
    assert hit_ratio(SHELF) == 0.8
    assert hit_ratio([0] * 5) == 0.0


def test_only_servers_with_something_to_tell_are_told_of() -> None:
    """Most gateways keep nothing."""
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in cache_families([("a", SHELF), ("b", [0] * 5)])
        for sample in family.samples
    }
    assert samples == {
        ("only1mcp_cache_requests_total", "a", "hit"): 6,
        ("only1mcp_cache_requests_total", "a", "joined"): 2,
        ("only1mcp_cache_requests_total", "a", "miss"): 2,
        ("only1mcp_cache_hit_ratio", "a"): 0.8,
        ("only1mcp_cache_entries", "a"): 3,
        ("only1mcp_cache_bytes", "a"): 900,
    }


def test_a_server_is_described_for_a_person() -> None:
    """With the ratio worked out."""
    assert described("a", SHELF) == {
        "server": "a", "hits": 6, "joined": 2, "misses": 2, "hit_ratio": 0.8, "entries": 3,
        "bytes": 900,
    }  # fmt: skip
