"""What is told of the answers that are kept, in the running gateway."""

import itertools
import json
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cached import WORKERS, Clients, clients_of, configured, look, shown
from tests.support.changing_backend import ChangingBackend
from tests.support.gateway import Gateway
from tests.support.keyed import ENV
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until


@pytest.fixture
def backend() -> Iterator[ChangingBackend]:
    """Run the server."""
    with ChangingBackend() as backend:
        yield backend


@pytest.fixture(params=[False, True], ids=["compiled", "pure"])
def gateway(request: pytest.FixtureRequest, backend: ChangingBackend) -> Iterator[Gateway]:
    """Run a gateway with two workers before it."""
    with Gateway(configured(backend), workers=WORKERS, pure=request.param, env=ENV) as gateway:
        yield gateway


@pytest.fixture
def on_each_worker(gateway: Gateway) -> Iterator[Clients]:
    """Return what finds clients on each worker."""
    with clients_of(gateway) as clients:
        yield clients


def test_what_is_kept_is_shown_and_counted(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """By the command, in metrics, and in the log."""
    ann, other = on_each_worker()
    for caller in (ann, ann, ann, other):
        look(caller)
    row = shown(gateway)
    assert (row["hits"], row["joined"], row["misses"], row["entries"]) == (2, 0, 2, 2)
    assert row["hit_ratio"] == 0.5
    assert 600 < row["bytes"] < 2000
    code, out, _ = gateway.run("cache")
    assert code == 0
    assert out.splitlines()[1].split()[:6] == ["b", "2", "0", "2", "50%", "2"]

    numbers = itertools.count()

    def logged() -> bool:
        look(ann)  # of calls that go well the lane logs some
        look(ann, number=next(numbers))
        lines = [json.loads(line) for line in gateway.log.splitlines() if '"b__look"' in line]
        return {line["cache"] for line in lines} == {"hit", "miss"}

    wait_until(logged, "a hit and a miss are logged")
    gateway.command("cache", "clear", "--json")
    wait_until(lambda: shown(gateway)["entries"] == 0, "what was cleared is gone")
    assert shown(gateway)["bytes"] == 0


def test_a_worker_that_is_replaced_keeps_nothing(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Nor is what its predecessor kept counted any more."""
    for caller in on_each_worker():
        look(caller)
    assert shown(gateway)["entries"] == WORKERS
    gateway.command("restart", "--json")
    wait_until(lambda: shown(gateway)["entries"] == 0, "the old workers are gone")
    for caller in on_each_worker():
        look(caller)
    assert backend.counts["look"] == 2 * WORKERS
    assert shown(gateway)["entries"] == WORKERS


def test_a_server_that_there_is_not_cannot_be_cleared(gateway: Gateway) -> None:
    """The command says so and exits with 3."""
    code, _, err = gateway.run("cache", "clear", "nobody")
    assert (code, "there is no server 'nobody'" in err) == (3, True)


def test_metrics_have_the_ratio_of_each_server(backend: ChangingBackend) -> None:
    """Summed over the workers."""
    config = configured(backend)
    del config["auth"]
    with Gateway(config, workers=WORKERS) as gateway, McpClient(gateway.port) as client:
        for _ in range(4):
            client.call("b__look")
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(gateway.get("/metrics")[1].decode())
            for sample in family.samples
        }
    assert samples["only1mcp_cache_hit_ratio", "b"] == 0.75
    assert samples["only1mcp_cache_requests_total", "b", "hit"] == 3
    assert samples["only1mcp_cache_entries", "b"] == 1
