"""Calls of the fast lane to servers with several instances."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aiohttp import web

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.http_site import http_site
from tests.support.lane import URI, Worker, call, lane_worker, legacy_request, modern_request
from tests.support.loop import on_loop
from tests.support.messages import legacy, modern
from tests.support.ports import free_port
from tests.support.scripted_server import ScriptedServer

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


def instance(name: str, *, modern: bool = True) -> ScriptedServer:
    """Return an instance of this name."""
    return ScriptedServer(name, modern=modern, legacy=not modern)


async def ask(worker: Worker, count: int, text: str = "x") -> Counter[str]:
    """Call on one connection; return who answered how often."""
    found: Counter[str] = Counter()
    async with worker.wire() as wire:
        for number in range(count):
            await wire.send(call(number, text))
            answer = json.loads((await wire.reply()).body)
            assert "result" in answer, answer
            found[answer["result"]["from"]] += 1
    return found


def carried(worker: Worker) -> int:
    """Return how many connections to servers the lane has open."""
    return sum(pool.open for pool in worker.lane.pools)


@on_loop
async def test_the_lane_shares_calls_out_among_instances() -> None:
    """By weight, without a turn through the common way."""
    servers = [instance("a"), instance("b")]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(one.open()) for one in servers]
        routing = {"algorithm": "round_robin"}
        worker = await stack.enter_async_context(
            lane_worker(urls[0], Era.MODERN, *urls[1:], routing=routing)
        )
        assert await ask(worker, 20) == {"a": 10, "b": 10}
        assert carried(worker) == 2


@on_loop
async def test_the_lane_places_calls_by_key() -> None:
    """The tool's name, or arguments."""
    servers = [instance(name) for name in "abc"]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(one.open()) for one in servers]
        for key in ("tool", "arguments"):
            routing = {"algorithm": "consistent_hash", "hash_key": key}
            worker = await stack.enter_async_context(
                lane_worker(urls[0], Era.MODERN, *urls[1:], routing=routing)
            )
            assert len(await ask(worker, 6)) == 1
            found: Counter[str] = Counter()
            for number in range(30):
                found += await ask(worker, 1, text=str(number))
            assert len(found) == (1 if key == "tool" else 3)


@on_loop
async def test_a_session_keeps_its_instance_in_the_lane_and_beside_it() -> None:
    """Both reckon alike."""
    servers = [instance(name, modern=False) for name in "abc"]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(one.open()) for one in servers]
        worker = await stack.enter_async_context(
            lane_worker(urls[0], Era.LEGACY, *urls[1:], routing={"algorithm": "random"})
        )
        wire = await stack.enter_async_context(worker.wire())
        owners: list[str] = []
        for _ in range(8):
            session, found = worker.session(), set()
            for number in range(4):
                params = {"name": "s__echo", "arguments": {}}
                body = legacy("tools/call", params, request_id=number)
                await wire.send(legacy_request(session, body))
                found.add(json.loads((await wire.reply()).body)["result"]["from"])
            assert len(found) == 1
            owners += found
        assert len(set(owners)) > 1


@on_loop
async def test_a_call_of_the_lane_that_never_left_goes_to_another_instance() -> None:
    """And after some of them the one that is gone gets no more."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(instance("b").open())
        worker = await stack.enter_async_context(
            lane_worker(
                f"http://127.0.0.1:{free_port()}/mcp",
                Era.MODERN,
                url,
                routing={"algorithm": "round_robin"},
            )
        )
        assert await ask(worker, 30) == {"b": 30}
        gauges = worker.graph.backends["s"].instances.gauges  # type: ignore[attr-defined]
        assert not gauges[0].is_closed()
        assert [gauge.load() for gauge in gauges] == [0, 0]


@on_loop
async def test_a_call_that_is_sent_again_has_what_is_left_of_its_time() -> None:
    """Here nothing, by the worker's clock: the second try ends at once, and not in an hour."""
    came: list[str] = []

    async def lose_the_first(request: web.BaseRequest) -> web.StreamResponse:
        came.append(json.loads(await request.read())["method"])
        if len(came) == 1 and request.transport is not None:
            request.transport.close()
        await asyncio.Event().wait()
        return web.Response()

    async with http_site(lose_the_first) as url, lane_worker(url, timeout_s=3600) as worker:
        clock = worker.parts.clock
        worker.parts.clock = replace(clock, monotonic=lambda: clock.monotonic() + 3600)
        async with worker.wire() as wire:
            body = modern("resources/read", {"uri": URI})
            await wire.send(modern_request("resources/read", URI, body))
            answer = json.loads((await wire.reply()).body)
        assert "did not answer within 3600 s" in answer["error"]["message"]
        assert set(came) == {"resources/read"}
