"""Connections to a server that are there in the very moment in which the time to open them ends."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp.worker.lane_link import open_upstream
from tests.support.lane import Worker, call, lane_worker
from tests.support.loop import eventually, on_loop
from tests.support.raw_server import RawServer, result, whole

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")

Connect = Callable[[Any], Awaitable[None]]


class LastMoment(asyncio.Protocol):
    """Ends the time of an opening with the connection that it has led to."""

    def __init__(self, upstream: Any, time: asyncio.Timeout) -> None:
        self._upstream = upstream
        self._time = time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection to its owner, who has it for no longer than a turn of the loop."""
        transport.set_protocol(self._upstream)
        self._time.reschedule(asyncio.get_running_loop().time())
        self._upstream.connection_made(transport)


class LateOpening:
    """Opens the first connection too late, and the others in time."""

    def __init__(self, worker: Worker) -> None:
        self.may_open = asyncio.Event()
        self.has_opened = asyncio.Event()
        self._tasks = worker.graph.tasks
        self._is_first = True

    def connect(self, pool: Any, connect: Connect, upstream: Any) -> None:
        """Open a connection as the lane's helper does."""
        if self._is_first:
            self._is_first = False
            connect = partial(self._late, connect)
        self._tasks.spawn(open_upstream(pool, connect, upstream))

    async def _late(self, connect: Connect, upstream: Any) -> None:
        await self.may_open.wait()
        try:
            async with asyncio.timeout(None) as time:
                await connect(LastMoment(upstream, time))
        finally:
            self.has_opened.set()


@pytest.mark.parametrize("waits", [True, False], ids=["for a call", "for nobody"])
@on_loop
async def test_a_connection_that_comes_too_late_is_not_used(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor is closed, and may be another connection's by the next call."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker:
        (pool,) = worker.lane.pools
        opening = LateOpening(worker)
        monkeypatch.setattr(worker.lane.helper, "connect", opening.connect)
        async with worker.wire() as first, worker.wire() as second:
            await first.send(call(1))
            await eventually(lambda: pool.opening == 1, "the opening")
            if not waits:
                first.writer.transport.abort()
                await eventually(lambda: pool.waiting == [], "the end of the client")
            opening.may_open.set()
            await opening.has_opened.wait()
            await eventually(lambda: pool.open == 0, "the end of the connection")
            if waits:
                assert b"closed the connection during the call" in (await first.reply()).body
            await second.send(call(2))
            await (await server.accept()).ended()
            peer = await server.accept()
            await peer.send(whole(result((await peer.request()).id)))
            assert (await second.reply()).status == 200
