"""Calls to a server that takes batches: round trips by count, on a real gateway."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from tests.support.aio_client import clients
from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway

CALLS = 120
BATCHING = {"window": "500ms", "max": 10}
CLIENTS = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "modern"])


def config(backend: CountingBackend, **more: Any) -> dict[str, Any]:
    """Declare the server."""
    return {"proxy": {"timeout": "60s"}, "servers": [{"id": "b", "url": backend.url, **more}]}


def call_all(gateway: Gateway, *, legacy: bool, name: str = "call") -> list[str]:
    """Make many calls at the same time; returns what was answered, in the order of the calls."""

    async def calls() -> list[str]:
        async with clients(gateway.url, CALLS // 4, legacy=legacy) as everyone:
            return await asyncio.gather(
                *(everyone[n % len(everyone)].call("b__echo", text=f"{name} {n}")
                  for n in range(CALLS))
            )  # fmt: skip

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(calls())


def counted(gateway: Gateway) -> Mapping[str, float]:
    """Return what the metrics say of batches."""
    text = gateway.get("/metrics")[1].decode()
    return {
        sample.name: sample.value for family in text_string_to_metric_families(text)
        for sample in family.samples if "_batch" in sample.name
    }  # fmt: skip


@CLIENTS
@pytest.mark.parametrize(("workers", "pure"), [(1, False), (2, False), (1, True)])
def test_round_trips_are_at_least_halved(*, legacy: bool, workers: int, pure: bool) -> None:
    """Every call is run once and has its own answer; metrics say what travelled together."""
    with CountingBackend("legacy", revision="2025-03-26") as backend:
        own = config(backend, batching=BATCHING)
        with Gateway(own, workers=workers, pure=pure) as gateway:
            assert call_all(gateway, legacy=legacy) == [f"call {n}" for n in range(CALLS)]
            found = counted(gateway)
        assert backend.trips <= CALLS // 2
        assert set(backend.texts.values()) == {1}
        assert backend.counts["tools/call"] == CALLS
        batches = found["only1mcp_upstream_batches_total"]
        members = found["only1mcp_upstream_batched_requests_total"]
        assert backend.trips == batches + CALLS - members


@CLIENTS
def test_without_batching_each_call_is_a_round_trip(*, legacy: bool) -> None:
    """As with a server that has no batches, where it was asked for."""
    with (
        CountingBackend("legacy", revision="2025-03-26") as plain,
        CountingBackend("legacy") as later,
    ):
        for backend, more in ((plain, {}), (later, {"batching": BATCHING})):
            with Gateway(config(backend, **more), workers=2) as gateway:
                assert len(set(call_all(gateway, legacy=legacy))) == CALLS
                assert counted(gateway) == {}
            assert backend.trips == backend.counts["tools/call"] == CALLS


def test_a_server_that_only_seems_to_take_batches_loses_no_call() -> None:
    """It refuses the first ones; its calls go one by one from then on, and that is logged."""
    with CountingBackend("legacy") as backend:
        own = config(backend, batching={**BATCHING, "any_revision": True})
        with Gateway(own, workers=2) as gateway:
            assert call_all(gateway, legacy=True) == [f"call {n}" for n in range(CALLS)]
            refused = backend.trips - CALLS
            assert call_all(gateway, legacy=True, name="more")[7] == "more 7"
            assert backend.trips == 2 * CALLS + refused
            assert 1 <= gateway.log.count("takes no batches (HTTP 400)") <= 2
        assert 1 <= refused <= CALLS // 2
        assert set(backend.texts.values()) == {1}


def test_a_session_that_is_forgotten_costs_no_batched_call() -> None:
    """It is opened again, and the batches with it are sent again."""
    with CountingBackend("legacy", revision="2025-03-26") as backend:
        with Gateway(config(backend, batching=BATCHING), workers=1) as gateway:
            assert len(set(call_all(gateway, legacy=True))) == CALLS
            opened = backend.counts["initialize"]
            backend.sessions.clear()
            assert call_all(gateway, legacy=True, name="more")[7] == "more 7"
            assert backend.counts["initialize"] > opened
        assert set(backend.texts.values()) == {1}


def test_a_reload_turns_batches_on_and_off() -> None:
    """Without a call that fails."""
    with CountingBackend("legacy", revision="2025-03-26") as backend:
        with Gateway(config(backend), workers=1) as gateway:
            for turn, more in enumerate(({"batching": BATCHING}, {}, {"batching": BATCHING})):
                before = backend.trips
                gateway.configure(config(backend, **more))
                assert gateway.run("reload")[0] == 0
                assert len(set(call_all(gateway, legacy=True, name=f"turn {turn}"))) == CALLS
                assert (backend.trips - before <= CALLS // 2) is bool(more)
        assert set(backend.texts.values()) == {1}
