"""What is said of answers that are kept, from the file to the settings."""

import pytest

from only1mcp.config.loader import load_text
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.settings import Settings
from only1mcp.registry.server import CacheLimits, Kept

ON = "proxy: {cache: {enabled: true}}\n"


def loaded(text: str) -> Settings:
    """Load a file with one server."""
    return load_text("test.yaml", text, {})


def one(cache: str, common: str = ON) -> Settings:
    """Load a file in which this stands of a server's answers."""
    return loaded(f"{common}servers: [{{id: a, url: 'http://127.0.0.1:9/mcp', cache: {cache}}}]")


def test_nothing_is_kept_unless_somebody_says_so() -> None:
    """Neither by default, nor of tools that nobody named."""
    assert loaded("servers: []").cache is None
    settings = loaded(ON + "servers: [{id: a, url: 'http://127.0.0.1:9/mcp'}]")
    assert settings.cache == CacheLimits(64 * 2**20, 3600.0)
    assert settings.servers[0].kept == Kept((), 0.0, True)
    assert settings.servers[0].kept.tool_s("x", only_reads=True) == 0.0


def test_what_is_said_of_a_server_is_in_the_settings_and_survives_the_way_to_the_workers() -> None:
    """As JSON, which knows no tuples."""
    settings = one("{tools: {now: never, 'get_*': 5m}, default_ttl: 1s, resources: false}")
    assert settings.servers[0].kept == Kept((("now", 0.0), ("get_*", 300.0)), 1.0, False)
    assert Settings.from_plain(settings.to_plain()) == settings


@pytest.mark.parametrize(
    ("name", "reads", "seconds"),
    [("now", True, 0.0), ("get_x", False, 5.0), ("get_all", False, 9.0), ("other", False, 0.0),
     ("other", True, 1.0), ("xget_", True, 1.0), ("a[b]", False, 7.0), ("ab", False, 0.0)],
)  # fmt: skip
def test_a_whole_name_comes_before_patterns_and_those_before_the_default(
    name: str, reads: bool, seconds: float
) -> None:
    """A star is the only sign."""
    kept = Kept((("get_*", 5.0), ("now", 0.0), ("get_all", 9.0), ("a[b]", 7.0)), 1.0)
    assert kept.tool_s(name, only_reads=reads) == seconds


@pytest.mark.parametrize(
    ("cache", "what"),
    [("{tools: {x: 5}}", "or is never"), ("{tools: {x: 0s1}}", "a duration needs"),
     ("{default_ttl: 0s}", "greater than 0"), ("{ttl: 5s}", "known here: default_ttl"),
     ("{tools: [x]}", "servers[0].cache.tools")],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(cache: str, what: str) -> None:
    """Line, column, key and hint."""
    with pytest.raises(ConfigInvalid, match=r"test.yaml:2:") as caught:
        one(cache)
    assert what in str(caught.value)


def test_a_server_that_keeps_in_vain_is_a_mistake_unless_it_is_meant() -> None:
    """`enabled: false` is for a while; without a word it was forgotten."""
    with pytest.raises(ConfigInvalid, match=r"cache: nothing is kept. set proxy.cache"):
        one("{tools: {x: 5s}}", common="")
    assert one("{tools: {x: 5s}}", common="proxy: {cache: {enabled: false}}\n").cache is None


def test_a_cache_that_holds_nothing_is_refused() -> None:
    """There are no answers that small."""
    with pytest.raises(ConfigInvalid, match=r"proxy\.cache\.max_bytes"):
        loaded("proxy: {cache: {enabled: true, max_bytes: 1KiB}}")
