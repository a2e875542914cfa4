"""Many connections that leave the lane at once."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from only1mcp import _speedups
from only1mcp.ingress import turnstile
from tests.support.lane import Worker, call, get, lane_worker
from tests.support.loop import PATIENCE_S, eventually, on_loop
from tests.support.raw_server import RawServer, result, whole

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


@pytest.fixture(autouse=True)
def _one_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each take all the time that there is in a turn for those who wait."""
    monkeypatch.setattr(turnstile, "SHARE_S", 0.0)


CROWD = 40
PROBE = get("/livez?door", b"Connection: close\r\n")


def waiting(worker: Worker) -> int:
    """Say how many are still to be let in at the other door."""
    assert worker.graph.lane is not None
    return len(worker.graph.lane._turnstile._waiting)


@on_loop
async def test_a_call_overtakes_a_crowd_at_the_other_door() -> None:
    """It is at its server while most of them wait; each of them is answered."""
    server = RawServer()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(
            lane_worker(await stack.enter_async_context(server.open()))
        )
        crowd = [await stack.enter_async_context(worker.wire()) for _ in range(CROWD)]
        wire = await stack.enter_async_context(worker.wire())
        await eventually(lambda: len(worker.lane.fronts) == CROWD + 1, "all to be accepted")
        await wire.send(call("first"))
        peer = await server.accept()
        await peer.send(whole(result((await peer.request()).id)))
        assert (await wire.reply()).status == 200
        for one in crowd:
            one.writer.write(PROBE)
        wire.writer.write(call("overtakes"))
        number = (await peer.request()).id
        assert waiting(worker) > CROWD / 2
        assert worker.graph.connections.open == CROWD + 1
        await peer.send(whole(result(number)))
        assert (await wire.reply()).status == 200
        assert [(await one.reply()).status for one in crowd] == [200] * CROWD


@on_loop
async def test_who_leaves_before_its_turn_is_forgotten() -> None:
    """It is counted no more, and those behind it are answered."""
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(
            lane_worker(await stack.enter_async_context(RawServer().open()))
        )
        crowd = [await stack.enter_async_context(worker.wire()) for _ in range(CROWD)]
        await eventually(lambda: len(worker.lane.fronts) == CROWD, "all to be accepted")
        for one in crowd:
            one.writer.write(PROBE)
        async with asyncio.timeout(PATIENCE_S):
            while waiting(worker) <= CROWD / 2:  # noqa: ASYNC110 - each turn counts
                await asyncio.sleep(0)
        for one in crowd[1::2]:
            one.writer.transport.abort()
        assert [(await one.reply()).status for one in crowd[::2]] == [200] * (CROWD // 2)
        await eventually(lambda: worker.graph.connections.open == 0, "all to be gone")


@on_loop
async def test_what_those_who_wait_have_sent_is_bounded() -> None:
    """Beyond that they do not wait, and all are answered."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(RawServer().open())
        worker = await stack.enter_async_context(lane_worker(url))
        worker.lane.max_held = worker.graph.connections.held.limit = 10 * len(PROBE)
        crowd = [await stack.enter_async_context(worker.wire()) for _ in range(CROWD)]
        await eventually(lambda: len(worker.lane.fronts) == CROWD, "all to be accepted")
        for one in crowd:
            one.writer.write(PROBE)
        most = 0
        async with asyncio.timeout(PATIENCE_S):
            while worker.graph.connections.open:
                most = max(most, waiting(worker))
                assert worker.lane.held <= worker.lane.max_held
                await asyncio.sleep(0)
        assert 5 < most <= 10
        assert [(await one.reply()).status for one in crowd] == [200] * CROWD
        assert worker.lane.held == 0
