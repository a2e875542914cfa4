"""Looking a server or a name up among many."""

import json

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import growth, in_references
from only1mcp._speedups import scan
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import classify
from only1mcp.registry.catalogue import Catalogue, Item
from only1mcp.registry.registry import Registry
from only1mcp.registry.server import Server
from only1mcp.registry.snapshot import Snapshot, build
from only1mcp.routing.router import route

MOST = 6.0
"""References that a look-up may cost: a call, a look-up, and what an error would need."""
MOST_ROUTE = 40.0
"""References that a route may cost: it makes an object with six fields."""


def registry(count: int) -> Registry:
    """Return a registry of so many servers."""
    return Registry(Server(f"server-{n}", "http", f"server-{n}") for n in range(count))


def snapshot(count: int) -> Snapshot:
    """Return a snapshot of ten servers with so many tools each."""
    servers = registry(10).list()
    tools = tuple(
        Item(f"tool-{n}", json.dumps({"name": f"tool-{n}", "inputSchema": {}}).encode())
        for n in range(count)
    )
    known = {server.id: Catalogue(server.id, tools=tools) for server in servers}
    return build(1, servers, known, 1000)


@pytest.mark.benchmark(group="registry, one look-up among 1000 servers", max_time=0.3)
def test_a_server_is_found_at_the_cost_of_a_dictionary(benchmark: BenchmarkFixture) -> None:
    """No lock, no copy."""
    subject = registry(1000)
    benchmark(subject.get, "server-500")
    assert in_references(lambda: subject.get("server-500")) < MOST


def test_the_cost_does_not_grow_with_the_servers() -> None:
    """A thousand are as quick as ten."""
    few, many = registry(10), registry(1000)
    assert growth(lambda: few.get("server-5"), lambda: many.get("server-5")) < 1.5


@pytest.mark.benchmark(group="router, one tool among 10 000", max_time=0.3)
def test_a_route_costs_a_few_look_ups(benchmark: BenchmarkFixture) -> None:
    """However many tools there are."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"server-5__tool-3"}}'
    inbound = classify(scan(body), McpHeaders())
    few, many = snapshot(10), snapshot(1000)
    benchmark(route, inbound, many)
    assert in_references(lambda: route(inbound, many)) < MOST_ROUTE
    assert growth(lambda: route(inbound, few), lambda: route(inbound, many)) < 1.5


@pytest.mark.benchmark(group="lists, one page of 1000 tools", max_time=0.3)
def test_a_list_costs_a_look_up(benchmark: BenchmarkFixture) -> None:
    """It was written when the snapshot was new."""
    from only1mcp.protocol.versions import Era  # noqa: PLC0415 - of this benchmark alone

    subject = snapshot(100)
    subject.page("tools", Era.MODERN, 0)
    benchmark(subject.page, "tools", Era.MODERN, 0)
    assert in_references(lambda: subject.page("tools", Era.MODERN, 0)) < 3 * MOST
