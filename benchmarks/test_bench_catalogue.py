"""Merging what servers offer into one catalogue, whenever one of them changes."""

import json

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import growth
from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue, Item, items
from only1mcp.registry.server import Server
from only1mcp.registry.snapshot import Snapshot, build

MOST = {True: 40.0, False: 400.0}
"""Times the cost of parsing and writing each tool once with orjson."""
SERVERS = 10


def offers(count: int) -> list[Catalogue]:
    """Return what ten servers offer, so many tools each, as they sent it."""
    schema = {"type": "object", "properties": {"text": {"type": "string", "description": "It."}}}
    tools = tuple(
        Item(f"tool-{n}", json.dumps({"name": f"tool-{n}", "inputSchema": schema}).encode())
        for n in range(count)
    )
    return [Catalogue(f"server-{n}", eras=frozenset(Era), tools=tools) for n in range(SERVERS)]


def merged(catalogues: list[Catalogue]) -> Snapshot:
    """Merge them."""
    servers = [Server(one.server_id, "stdio", one.server_id) for one in catalogues]
    return build(1, servers, {one.server_id: one for one in catalogues}, 1000)


def rewritten(catalogues: list[Catalogue]) -> int:
    """Be the reference: parse and write every tool."""
    return sum(
        len(orjson.dumps(orjson.loads(tool.raw))) for one in catalogues for tool in one.tools
    )


@pytest.mark.gate
@pytest.mark.benchmark(group="catalogue, 1000 tools of 10 servers", max_time=0.5)
def test_a_merge_costs_little_more_than_reading_the_tools(benchmark: BenchmarkFixture) -> None:
    """Names are changed where they stand; nothing is parsed that need not be."""
    catalogues = offers(100)
    benchmark(merged, catalogues)
    assert (
        growth(lambda: rewritten(catalogues), lambda: merged(catalogues)) < MOST[_speedups.COMPILED]
    )


@pytest.mark.gate
def test_the_cost_of_a_merge_grows_with_the_tools_and_no_faster() -> None:
    """Collisions are looked up, not searched for."""
    few, many = offers(20), offers(200)
    assert growth(lambda: merged(few), lambda: merged(many)) < 2.5 * 10


@pytest.mark.benchmark(group="catalogue, 1000 raw tools", max_time=0.3)
def test_raw_lists_become_items_at_a_cost_that_grows_with_them(benchmark: BenchmarkFixture) -> None:
    """As they come from a server."""
    few, many = ([tool.raw for tool in offers(count)[0].tools] for count in (100, 1000))
    benchmark(items, many, "name")
    assert growth(lambda: items(few, "name"), lambda: items(many, "name")) < 2.5 * 10
