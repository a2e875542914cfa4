"""Requests that are refused because there is too much to do, on real sockets."""

import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp.backends.line import Line
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.versions import Era
from only1mcp.resilience.overload import CROWD, TRIAL_EACH_S
from only1mcp.worker import shedding
from tests.support.host_lane import HostedWorker, hosted_worker, text_of
from tests.support.kept import WAYS
from tests.support.lane import Worker, call, lane_worker, legacy_call, modern_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import modern, notification
from tests.support.raw_server import Came, Peer, RawServer, result, whole
from tests.support.wire import Reply, Wire

COMPILED = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


def refused(reply: Reply) -> str:
    """Return the message of a refusal."""
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    error = json.loads(reply.body)["error"]
    assert error["code"] == 32004
    message: str = error["message"]
    return message


async def ask(wire: Wire, request: bytes) -> Reply:
    """Send a request and return the answer."""
    await wire.send(request)
    return await wire.reply()


def fall_behind(worker: Worker) -> None:
    """Have the worker refuse all that comes from now on."""
    for _ in range(3):
        worker.graph.shedding.taken += CROWD
        worker.graph.shedding.turned(-1e6, 60.0)


@asynccontextmanager
async def full_server() -> AsyncIterator[tuple[Worker, Peer, Came, tuple[Wire, Wire, Wire]]]:
    """Have a call at a server that takes one at a time, and another wait for it too long.

    Yields the worker, the server's end of the connection, the call that came there, and three
    clients, of which the last has not called yet.
    """
    server = RawServer()
    limits: dict[str, Any] = {"max_calls": 1, "max_wait": "1ms"}
    async with (
        server.open() as url, lane_worker(url, **limits) as worker,
        worker.wire() as first, worker.wire() as second, worker.wire() as third,
    ):  # fmt: skip
        await first.send(call(1))
        peer = await server.accept()
        came = await peer.request()
        await second.send(call(2))
        (pool,) = worker.lane.pools
        await eventually(lambda: pool.waiting, "one that waits")
        yield worker, peer, came, (first, second, third)


@COMPILED
@on_loop
async def test_a_call_is_refused_while_others_wait_too_long_for_its_server() -> None:
    """And is taken again once they have been sent."""
    async with full_server() as (worker, peer, came, (first, second, third)):

        async def turned_away() -> bool:
            reply = await ask(third, call(3))
            return "server s" in refused(reply)

        assert await turned_away()
        assert await turned_away()
        await peer.send(whole(result(came.id)))
        assert (await first.reply()).status == 200
        await peer.send(whole(result((await peer.request()).id)))
        assert (await second.reply()).status == 200
        await third.send(call(4))
        await peer.send(whole(result((await peer.request()).id)))
        assert (await third.reply()).status == 200
        assert worker.lane.busy() == 0


@WAYS
@on_loop
async def test_a_call_in_line_on_the_common_way_is_refused_once(fast: bool) -> None:
    """The next answer on its connection is that to its next request."""
    server = RawServer()
    limits: dict[str, Any] = {"max_calls": 1, "max_wait": "1ms"}
    async with (
        server.open() as url, lane_worker(url, fast=fast, **limits) as worker,
        worker.wire() as first, worker.wire() as second, worker.wire() as third,
    ):  # fmt: skip
        session = worker.session()
        await first.send(legacy_call(session, 1))
        peer = await server.accept()
        came = await peer.request()
        await second.send(legacy_call(session, 2))
        line = worker.parts.means.backends["s"]
        assert isinstance(line, Line)
        await eventually(lambda: line.is_full(time.monotonic()), "the line")
        for number in (3, 4, 5):
            refused = json.loads((await ask(third, legacy_call(session, number))).body)
            assert (refused["id"], refused["error"]["code"]) == (number, 32004)
        await peer.send(whole(result(came.id)))
        assert (await first.reply()).status == 200
        await peer.send(whole(result((await peer.request()).id)))
        assert (await second.reply()).status == 200


@COMPILED
@on_loop
async def test_what_a_server_has_no_room_for_does_not_keep_the_worker_refusing() -> None:
    """It is over after a trial that brought no crowd, though its calls are refused."""
    async with full_server() as (worker, _, _, (_, _, third)):
        fall_behind(worker)
        shedding = worker.graph.shedding
        tried = -1e6 + TRIAL_EACH_S
        assert shedding.turned(tried, 0.0)
        assert "server s" in refused(await ask(third, call(3)))
        assert not shedding.turned(tried + 1.0, 0.0)
        assert worker.lane.refuses_after == inf


@COMPILED
@on_loop
async def test_a_worker_that_is_behind_refuses_calls_and_nothing_else() -> None:
    """Lists cost no more than a refusal; notifications, probes and metrics are no calls."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        body = modern("tools/list", {})
        assert (await ask(wire, modern_request("tools/list", "", body))).status in {200, 400}
        fall_behind(worker)
        for number in range(3):
            assert "the gateway" in refused(await ask(wire, call(number)))
        legacy = await ask(wire, legacy_call(worker.session()))
        assert (legacy.status, json.loads(legacy.body)["error"]["code"]) == (200, 32004)
        for path in ("/health", "/livez", "/readyz", "/metrics"):
            async with worker.wire() as probe:
                reply = await ask(probe, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert reply.status in {200, 503}
                assert b"more to do" not in reply.body
        metrics = worker.graph.shedding._metrics
        assert metrics.row[metrics.refused_slot(METHODS["tools/call"].index)] == 4
        worker.lane.refuses_after = worker.graph.shedding.refuses_after = inf
        await wire.send(call("after"))
        peer = await server.accept()
        await peer.send(whole(result((await peer.request()).id)))
        assert (await wire.reply()).status == 200


@COMPILED
@on_loop
async def test_a_refusal_in_the_lane_is_logged_once_and_closes_what_is_to_close(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end with how many there were; the next one is told anew."""
    monkeypatch.setattr(shedding, "OVER_S", 0.05)
    caplog.set_level(logging.INFO, logger=shedding.__name__)
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        fall_behind(worker)
        for number in range(3):
            reply = await ask(wire, call(number))
            assert "connection" not in reply.headers
        await eventually(lambda: len(caplog.records) > 1, "its end")
        assert "3 requests" in caplog.messages[-1]
        worker.lane.draining = True
        reply = await ask(wire, call("last"))
        assert (reply.headers["connection"], refused(reply)[:11]) == ("close", "the gateway")
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


@on_loop
async def test_the_door_of_aiohttp_refuses_calls_likewise() -> None:
    """With the same answer; a notification is taken."""
    server = RawServer()
    async with server.open() as url, lane_worker(url, fast=False) as worker, worker.wire() as wire:
        fall_behind(worker)
        assert "the gateway" in refused(await ask(wire, call(1)))
        note = notification("notifications/cancelled", {"requestId": 1})
        reply = await ask(wire, modern_request("notifications/cancelled", "", note))
        assert b"more to do" not in reply.body


def waiting(worker: HostedWorker, fast: bool) -> int:
    """Return how many calls wait besides the two that are under way."""
    line: Any = worker.parts.means.backends["s"]
    return worker.lane.busy() - 2 if fast else len(line._waiting)


@pytest.mark.parametrize("fast", [pytest.param(True, marks=COMPILED), False])
@on_loop
async def test_calls_to_a_program_wait_for_those_before_them(fast: bool) -> None:
    """One that is given up while it waits is never sent; the others are, even by a death."""
    limits: dict[str, Any] = {"max_calls": 2, "max_wait": "1h"}
    async with hosted_worker(Era.MODERN, fast=fast, **limits) as worker:
        held = [worker.asking("hold", f"t{number}") for number in range(2)]
        await eventually(lambda: worker.under_way == 2, "two to have come")
        async with worker.wire() as leaving:
            await leaving.send(worker.call("hold", "never sent"))
            await eventually(lambda: waiting(worker, fast) == 1, "one that waits")
            last = worker.asking("echo", "later")
            await eventually(lambda: waiting(worker, fast) == 2, "two that wait")
        await eventually(lambda: waiting(worker, fast) == 1, "one of them to have left")
        assert worker.under_way == 2
        os.kill(worker.pid, signal.SIGKILL)
        for one in held:
            assert "error" in await one
        message = await last
        assert "error" in message or text_of(message) == "later"
        assert waiting(worker, fast) <= 0
