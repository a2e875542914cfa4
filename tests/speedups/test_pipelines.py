"""Many requests at once on one connection of the lane."""

import asyncio
import contextlib
from contextlib import AsyncExitStack

import pytest

from only1mcp import _speedups
from only1mcp.ingress.pages import Page
from tests.support.lane import Worker, get, lane_worker, modern_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import modern
from tests.support.raw_server import RawServer
from tests.support.wire import Wire

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")
PAGE, LAST = get("/livez"), get("/livez", b"Connection: close\r\n")
LIST = modern_request("tools/list", "", modern("tools/list", {})).replace(b"Mcp-Name: \r\n", b"")
READ_BYTES = 256 * 1024
"""As much as the event loop reads at once."""


async def site(stack: AsyncExitStack) -> tuple[Worker, Wire]:
    """Serve before a server that nobody calls; returns also a connection."""
    url = await stack.enter_async_context(RawServer().open())
    worker = await stack.enter_async_context(lane_worker(url))
    return worker, await stack.enter_async_context(worker.wire())


@pytest.mark.parametrize("count", [0, 1, 300, 20_000])
@on_loop
async def test_nothing_behind_the_last_request_is_taken(count: int) -> None:
    """However many came before it, and however they were read."""
    async with AsyncExitStack() as stack:
        worker, wire = await site(stack)
        wire.writer.write(count * PAGE + LAST + 3 * LIST)
        said = await wire.ended()
        assert said.count(b"HTTP/1.1 200") == count + 1
        assert said.count(b"Connection: close") == 1
        assert said.endswith(b"ok\n")
        assert worker.lane.taken == 0


@on_loop
async def test_nothing_behind_a_last_answer_that_waits_for_its_client_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writing has paused with it, and goes on later."""
    async with AsyncExitStack() as stack:
        worker, wire = await site(stack)
        page = Page(200, "text/plain", 16_000_000 * b"x")
        monkeypatch.setattr(worker.graph.door.pages, "at_once", lambda _: page)
        await wire.send(LAST + 3 * LIST)
        await eventually(lambda: worker.graph.connections.held.unread > 0, "the answer to wait")
        said = await wire.ended()
        assert said.startswith(b"HTTP/1.1 200")
        assert said.endswith(b"xxx")
        assert worker.lane.taken == 0


@on_loop
async def test_requests_in_a_row_are_all_answered_and_counted_while_they_wait() -> None:
    """Pages and lists; no more is read than what comes at once."""
    async with AsyncExitStack() as stack:
        worker, wire = await site(stack)
        most, count = 0, 3000
        wire.writer.write(count * (PAGE + LIST))
        for number in range(2 * count):
            assert (await wire.reply()).status == 200, number
            most = max(most, worker.lane.held)
        assert 0 < most <= READ_BYTES + 64 * 1024
        assert (worker.lane.held, worker.lane.taken) == (0, count)


async def endless(wire: Wire) -> int:
    """Send requests until none are taken for half a second; returns how many bytes went."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100_000_000:
            async with asyncio.timeout(0.5):
                await wire.send(1000 * PAGE)
            sent += 1000 * len(PAGE)
    return sent


@on_loop
async def test_who_sends_without_end_and_reads_nothing_is_read_no_more() -> None:
    """What waits is bounded."""
    async with AsyncExitStack() as stack:
        worker, wire = await site(stack)
        assert await endless(wire) < 100_000_000
        assert worker.lane.held <= READ_BYTES + 64 * 1024
        assert worker.graph.connections.held.unread < 1_000_000
        other = await stack.enter_async_context(worker.wire())
        await other.send(PAGE)
        assert (await other.reply()).status == 200
    assert worker.lane.held == 0


@on_loop
async def test_no_answer_stands_in_the_place_of_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection ends, also where the request was not the first."""
    async with AsyncExitStack() as stack:
        worker, wire = await site(stack)

        def fail() -> tuple[int, bytes]:
            raise ValueError("no health")

        monkeypatch.setattr(worker.graph.service, "health", fail)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        wire.writer.write(PAGE + get("/health") + PAGE)
        assert (await wire.reply()).body == b"ok\n"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await wire.reader.readexactly(1)


@on_loop
async def test_a_head_that_is_too_long_is_refused() -> None:
    """By the other door, which says how long it may be."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(RawServer().open())
        worker = await stack.enter_async_context(lane_worker(url, max_header="1024B"))
        wire = await stack.enter_async_context(worker.wire())
        await wire.send(get("/livez", b"User-Agent: " + 1500 * b"x" + b"\r\n"))
        assert (await wire.reply()).status == 431
