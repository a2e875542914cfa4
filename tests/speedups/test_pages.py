"""Pages for probes and collectors on the lane: answered there, in the other door's words."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from only1mcp import _speedups
from tests.support.lane import Worker, call, get, lane_worker
from tests.support.loop import eventually, on_loop
from tests.support.raw_server import RawServer, result, whole
from tests.support.wire import Reply

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


async def site(stack: AsyncExitStack, *, fast: bool = True) -> Worker:
    """Serve before a server that nobody calls."""
    url = await stack.enter_async_context(RawServer().open())
    return await stack.enter_async_context(lane_worker(url, fast=fast))


def on_lane(worker: Worker) -> int:
    """Say how many connections the lane holds."""
    return len(worker.lane.fronts)


async def ask(worker: Worker, request: bytes) -> tuple[Reply, int]:
    """Send a request; returns what came, and how many connections the lane holds then."""
    async with worker.wire() as wire:
        await wire.send(request)
        return await wire.reply(), on_lane(worker) if worker.graph.lane is not None else 0


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics"])
@on_loop
async def test_a_page_is_the_same_on_both_ways(path: str) -> None:
    """Status, type and body; the lane keeps the connection."""
    async with AsyncExitStack() as stack:
        fast, common = await site(stack), await site(stack, fast=False)
        (of_lane, held), (of_door, _) = [await ask(one, get(path)) for one in (fast, common)]
        assert held == 1
        assert of_lane.status == of_door.status
        assert of_lane.headers["content-type"] == of_door.headers["content-type"]
        if path == "/metrics":
            names = [
                {line.split(b"{")[0].split(b" ")[0] for line in reply.body.splitlines()}
                for reply in (of_lane, of_door)
            ]
            assert names[0] == names[1] != set()
        else:
            assert of_lane.body == of_door.body


PLAIN = [
    b"User-Agent: kube-probe/1.31\r\nAccept: */*\r\n",
    b"User-Agent: Prometheus/3.0\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n",
    b"Connection: Keep-Alive\r\nreferer: http://elsewhere/\r\n",
]


@pytest.mark.parametrize("lines", PLAIN)
@on_loop
async def test_usual_askers_are_answered_in_the_lane(lines: bytes) -> None:
    """Of Kubernetes, of Prometheus, of others."""
    async with AsyncExitStack() as stack:
        reply, held = await ask(await site(stack), get("/livez", lines))
        assert (reply.status, reply.body, held) == (200, b"ok\n", 1)


OTHERS = {
    "another path": (get("/nothing"), 404),
    "a query": (get("/livez?deep=1"), 200),
    "a foreign page": (get("/livez", b"Origin: https://evil.example\r\n"), 403),
    "a body": (get("/livez", b"Content-Length: 2\r\n") + b"{}", 200),
    "chunks": (get("/livez", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 200),
    "both lengths": (
        get("/livez", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n") + b"{}",
        400,
    ),
    "two hosts": (get("/livez", b"Host: localhost\r\n"), 400),
    "no host": (b"GET /livez HTTP/1.1\r\nAccept: */*\r\n\r\n", 400),
    "an upgrade": (get("/livez", b"Upgrade: h2c\r\n", b"Connection: Upgrade\r\n"), 200),
    "an expectation": (get("/livez", b"Expect: 100-continue\r\n"), 200),
    "a folded line": (get("/livez", b"Accept: text/plain,\r\n text/html\r\n"), 400),
    "space before the colon": (get("/livez", b"Accept : */*\r\n"), 400),
    "a bare newline": (b"GET /livez HTTP/1.1\r\nHost: localhost\nAccept: */*\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", OTHERS)
@on_loop
async def test_what_is_not_plain_goes_to_the_other_door(kind: str) -> None:
    """Which knows what to say to it."""
    request, status = OTHERS[kind]
    async with AsyncExitStack() as stack:
        worker = await site(stack)
        async with worker.wire() as wire:
            await wire.send(request)
            head = await wire.reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 100"):
                head = await wire.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert on_lane(worker) == 0


@on_loop
async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    """Pages and a call between them, sent at once."""
    server = RawServer()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(
            lane_worker(await stack.enter_async_context(server.open()))
        )
        wire = await stack.enter_async_context(worker.wire())
        wire.writer.write(get("/livez") + get("/metrics") + call("between") + get("/health"))
        assert (await wire.reply()).body == b"ok\n"
        assert b"# HELP" in (await wire.reply()).body
        peer = await server.accept()
        await peer.send(whole(result((await peer.request()).id)))
        assert b'"between"' in (await wire.reply()).body
        assert b'"servers"' in (await wire.reply()).body
        assert on_lane(worker) == 1


@on_loop
async def test_a_client_that_wants_to_be_closed_is() -> None:
    """With word of it; what it has sent behind is not read."""
    async with AsyncExitStack() as stack:
        worker = await site(stack)
        wire = await stack.enter_async_context(worker.wire())
        wire.writer.write(get("/livez", b"Connection: close\r\n") + get("/health"))
        reply = await wire.reply()
        assert (reply.body, reply.headers["connection"]) == (b"ok\n", "close")
        assert await wire.ended() == b""


@on_loop
async def test_a_draining_worker_says_so_and_closes() -> None:
    """Whoever sends requests to workers sends it no more."""
    async with AsyncExitStack() as stack:
        worker = await site(stack)
        wire = await stack.enter_async_context(worker.wire())
        await eventually(lambda: on_lane(worker) == 1, "the client to be accepted")
        worker.graph.door.pages.draining = worker.lane.draining = True
        await wire.send(get("/readyz"))
        reply = await wire.reply()
        assert (reply.status, reply.body) == (503, b"draining\n")
        assert reply.headers["connection"] == "close"
        assert await wire.ended() == b""


@on_loop
async def test_metrics_are_for_administrators_where_there_are_keys() -> None:
    """Probes need none."""
    keys = {"auth": {"keys": [{"id": "one", "hash": "sha256:" + 64 * "0"}]}}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(RawServer().open())
        worker = await stack.enter_async_context(lane_worker(url, config=keys))
        assert (await ask(worker, get("/livez")))[0].status == 200
        reply, held = await ask(worker, get("/metrics"))
        assert (reply.status, held) == (401, 0)


@on_loop
async def test_a_page_that_cannot_be_made_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it; the log says why."""
    async with AsyncExitStack() as stack:
        worker = await site(stack)

        def fail() -> tuple[int, bytes]:
            raise ValueError("no health")

        monkeypatch.setattr(worker.graph.service, "health", fail)
        async with worker.wire() as wire:
            await wire.send(get("/health"))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await wire.reader.readexactly(1)
        assert "no health" in caplog.text
