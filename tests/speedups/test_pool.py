"""Which connection takes a call of the fast lane, and what becomes of those who wait for one."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.lane import Worker, call, lane_worker, legacy_call, legacy_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.raw_server import (
    CHUNKED,
    EVENTS,
    Came,
    Peer,
    RawServer,
    chunk,
    event,
    result,
    whole,
)
from tests.support.wire import Wire

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


async def clients(stack: AsyncExitStack, worker: Worker, count: int) -> list[Wire]:
    """Open connections, each with a call under way."""
    wires = [await stack.enter_async_context(worker.wire()) for _ in range(count)]
    for number, wire in enumerate(wires):
        await wire.send(call(number))
    return wires


@asynccontextmanager
async def crowd(count: int) -> AsyncIterator[tuple[RawServer, Worker, list[Wire]]]:
    """Have so many calls under way to a server that takes two at a time."""
    server = RawServer()
    async with (
        server.open() as url,
        lane_worker(url, max_calls=2) as worker,
        AsyncExitStack() as stack,
    ):
        yield server, worker, await clients(stack, worker, count)


@asynccontextmanager
async def one_client(timeout_s: float = 30.0) -> AsyncIterator[tuple[RawServer, Worker, Wire]]:
    """Have a client before a server."""
    server = RawServer()
    async with (
        server.open() as url,
        lane_worker(url, timeout_s=timeout_s) as worker,
        worker.wire() as wire,
    ):
        yield server, worker, wire


async def answers(wires: list[Wire]) -> list[Any]:
    """Read one answer from each."""
    return [json.loads((await wire.reply()).body) for wire in wires]


async def gone(worker: Worker) -> None:
    """Wait until the lane holds no connection to the server."""
    (pool,) = worker.lane.pools
    await eventually(lambda: pool.open == 0, "the end of all connections")


async def finish(peer: Peer) -> None:
    """Answer the call that stands on this connection."""
    await peer.send(whole(result((await peer.request()).id)))


@on_loop
async def test_calls_beyond_the_limit_wait_their_turn() -> None:
    """And no more connections are opened than there may be."""
    async with crowd(5) as (server, worker, wires):
        first, second = await server.accept(), await server.accept()
        (pool,) = worker.lane.pools
        await eventually(lambda: len(pool.waiting) == 3, "three that wait")
        for peer in (first, second, first, second, first):
            await finish(peer)
        assert {one["id"] for one in await answers(wires)} == {0, 1, 2, 3, 4}
        assert (pool.open, len(pool.idle), len(server.peers)) == (2, 2, 2)


@pytest.mark.parametrize("how", ["reset", "closed", "announced", "client gone"])
@on_loop
async def test_calls_that_wait_outlive_the_connections_they_waited_for(how: str) -> None:
    """New ones are opened for them, whatever ended the old ones."""
    async with crowd(4) as (server, worker, wires):
        for peer in (await server.accept(), await server.accept()):
            came = await peer.request()
            if how == "reset":
                peer.reset()
            elif how == "closed":
                peer.end()
            elif how == "announced":
                await peer.send(whole(result(came.id), b"Connection: close"))
            else:
                wires[came.id - 1].writer.transport.abort()
        for _ in range(2):
            await finish(await server.accept())
        assert [one["result"]["content"][0]["text"] for one in await answers(wires[2:])] == [
            "ok"
        ] * 2
        assert worker.lane.busy() == 0


@on_loop
async def test_calls_fail_at_once_when_nobody_listens() -> None:
    """All that wait, each with an answer; the server may come up later."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(lane_worker(f"http://127.0.0.1:{port}/mcp"))
        wires = await clients(stack, worker, 3)
        told = await answers(wires)
        assert [one["error"]["message"] for one in told] == ["server s cannot be reached"] * 3
        (pool,) = worker.lane.pools
        assert (pool.open, pool.opening, pool.waiting, worker.lane.busy()) == (0, 0, [], 0)


@on_loop
async def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    """The next call opens another."""
    async with one_client() as (server, worker, wire):
        for number in range(3):
            await wire.send(call(number))
            peer = await server.accept()
            await finish(peer)
            assert (await answers([wire]))[0]["id"] == number
            peer.end()
            await gone(worker)


@on_loop
async def test_a_connection_whose_stream_does_not_end_is_given_up() -> None:
    """It would be lost to all other calls for ever."""
    async with one_client() as (server, worker, wire):
        await wire.send(call(1))
        peer = await server.accept()
        came = await peer.request()
        await peer.send(EVENTS + CHUNKED + chunk(event(result(came.id))))
        assert (await answers([wire]))[0]["id"] == 1
        (pool,) = worker.lane.pools
        assert len(pool.ending) == 1
        assert await peer.ended() == b""
        await gone(worker)
        assert len(pool.ending) == 0


@on_loop
async def test_a_call_that_takes_too_long_is_answered_and_its_connection_broken() -> None:
    """The answer that comes later cannot be taken for another's."""
    async with one_client(timeout_s=0.3) as (server, worker, wire):
        await wire.send(call(1))
        peer = await server.accept()
        await peer.request()
        (told,) = await answers([wire])
        assert told["error"]["message"].startswith("server s did not answer within 0.3 s")
        assert await peer.ended() == b""
        assert worker.lane.busy() == 0


class LegacyServer:
    """A server with a session, as far as it is not the test's business."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[Peer, Came]] = asyncio.Queue()
        self.others: list[Came] = []
        """Notifications, and streams that were resumed."""
        self.ended: list[Peer] = []

    async def serve(self, peer: Peer) -> None:
        """Greet, and leave the calls to the test."""
        try:
            await self._serve(peer)
        finally:
            self.ended.append(peer)

    async def _serve(self, peer: Peer) -> None:
        while True:
            came = await peer.request()
            if came.body and came.message["method"] == "tools/call":
                await self.calls.put((peer, came))
                continue
            if came.body and came.message["method"] == "initialize":
                greeting = {"protocolVersion": "2025-11-25", "capabilities": {}}
                body = json.dumps({"jsonrpc": "2.0", "id": came.id, "result": greeting}).encode()
                await peer.send(whole(body, b"Mcp-Session-Id: one"))
                continue
            self.others.append(came)
            if not came.body and came.line.startswith("GET"):
                await self.calls.put((peer, came))
                continue
            await peer.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    async def answer(self) -> None:
        """Answer the next call."""
        peer, came = await self.calls.get()
        await peer.send(whole(result(came.id)))

    @property
    def notifications(self) -> list[tuple[str, Any]]:
        """Those that came, with their parameters."""
        said = [came.message for came in self.others if came.body]
        return [(one["method"], one.get("params")) for one in said]


@asynccontextmanager
async def legacy(
    timeout_s: float = 30.0, **limits: Any
) -> AsyncIterator[tuple[LegacyServer, Worker, Wire, str]]:
    """Open a session, and make the first call on it, which goes the common way."""
    server = LegacyServer()
    async with (
        RawServer(server.serve).open() as url,
        lane_worker(url, Era.LEGACY, timeout_s=timeout_s, **limits) as worker,
        worker.wire() as wire,
    ):
        session = worker.session()
        await wire.send(legacy_call(session, 0))
        await server.answer()
        assert (await wire.reply()).status == 200
        yield server, worker, wire, session


@pytest.mark.parametrize("how", ["gone", "cancelled", "timeout"])
@on_loop
async def test_a_legacy_server_hears_that_a_call_is_not_wanted_any_more(how: str) -> None:
    """By a notification with the id that the call had there."""
    timeout_s = 0.5 if how == "timeout" else 30.0
    async with (
        legacy(timeout_s) as (server, worker, wire, session),
        worker.wire() as other,
    ):
        await wire.send(legacy_call(session, "mine"))
        _, came = await server.calls.get()
        assert worker.lane.busy() == 1
        if how == "gone":
            wire.writer.transport.abort()
        elif how == "cancelled":
            wish = notification("notifications/cancelled", {"requestId": "mine"})
            await other.send(legacy_request(session, wish))
            assert (await other.reply()).status == 202
        if how != "gone":
            told = json.loads((await wire.reply()).body)
            assert (told["id"], "error" in told) == ("mine", True)
        said = ("notifications/cancelled", {"requestId": came.id})
        await eventually(lambda: said in server.notifications, "the notification")
        assert worker.lane.busy() == 0


@on_loop
async def test_a_legacy_server_does_not_hear_of_a_call_that_it_never_got() -> None:
    """Its client left while the call waited for a connection."""
    async with (
        legacy(max_calls=1) as (server, worker, wire, session),
        worker.wire() as first,
        worker.wire() as last,
    ):
        await first.send(legacy_call(session, 1))
        peer, came = await server.calls.get()
        await wire.send(legacy_call(session, 2))
        await eventually(lambda: worker.lane.busy() == 2, "the second call waits")
        wire.writer.transport.abort()
        await eventually(lambda: worker.lane.busy() == 1, "it has gone")
        await peer.send(whole(result(came.id)))
        assert (await answers([first]))[0]["id"] == 1
        await last.send(legacy_call(session, 3))
        _, came = await server.calls.get()
        last.writer.transport.abort()
        said = ("notifications/cancelled", {"requestId": came.id})
        await eventually(lambda: said in server.notifications, "the notification of the third")
        told = [one for one in server.notifications if one[0] == "notifications/cancelled"]
        assert told == [said]


@on_loop
async def test_a_wish_to_cancel_reaches_only_calls_of_its_own_session() -> None:
    """Two clients may use the same ids."""
    async with legacy() as (server, worker, wire, session), worker.wire() as other:
        await wire.send(legacy_call(session, 7))
        peer, came = await server.calls.get()
        wish = notification("notifications/cancelled", {"requestId": 7})
        await other.send(legacy_request(worker.session(), wish))
        assert (await other.reply()).status == 202
        assert worker.lane.busy() == 1
        await peer.send(whole(result(came.id)))
        assert (await answers([wire]))[0]["id"] == 7


@on_loop
async def test_a_legacy_stream_that_breaks_off_is_read_on() -> None:
    """From its last event, after the time that the server wants, as often as it takes."""
    async with legacy() as (server, worker, wire, session):
        await wire.send(legacy_call(session, 7))
        peer, came = await server.calls.get()
        await peer.send(EVENTS + CHUNKED + chunk(b"id: a1\nretry: 5\ndata: \n\n") + b"0\r\n\r\n")
        peer, resumed = await server.calls.get()
        assert resumed.headers["last-event-id"] == "a1"
        assert (resumed.headers["mcp-session-id"], worker.lane.busy()) == ("one", 1)
        await peer.send(EVENTS + CHUNKED + chunk(b"id: a2\nretry: 5\ndata: \n\n") + b"0\r\n\r\n")
        peer, resumed = await server.calls.get()
        assert resumed.headers["last-event-id"] == "a2"
        await peer.send(EVENTS + CHUNKED + chunk(b"id: a3\n" + event(result(came.id))))
        assert (await answers([wire]))[0]["id"] == 7
        assert worker.lane.busy() == 0


@on_loop
async def test_a_client_that_goes_while_its_stream_is_read_on_ends_that() -> None:
    """And the server hears of it."""
    async with legacy() as (server, worker, wire, session):
        await wire.send(legacy_call(session, 7))
        peer, came = await server.calls.get()
        await peer.send(EVENTS + CHUNKED + chunk(b"id: a1\nretry: 5\ndata: \n\n") + b"0\r\n\r\n")
        peer, _ = await server.calls.get()
        wire.writer.transport.abort()
        await eventually(lambda: peer in server.ended, "the end of the stream")
        said = ("notifications/cancelled", {"requestId": came.id})
        await eventually(lambda: said in server.notifications, "the notification")
        assert worker.lane.busy() == 0


@pytest.mark.parametrize("status", [b"404 Not Found", b"400 Bad Request"])
@on_loop
async def test_a_call_whose_session_was_forgotten_runs_on_another(status: bytes) -> None:
    """The client notices nothing."""
    async with legacy() as (server, _, wire, session):
        await wire.send(legacy_call(session, 7))
        peer, _ = await server.calls.get()
        await peer.send(whole(b"{}", status=status))
        await server.answer()
        assert (await answers([wire]))[0]["result"]["content"][0]["text"] == "ok"


@on_loop
async def test_a_refusal_with_the_calls_own_id_is_its_answer() -> None:
    """The server has read the call: it is not sent again."""
    async with legacy() as (server, _, wire, session):
        await wire.send(legacy_call(session, 7))
        peer, came = await server.calls.get()
        refusal = {"jsonrpc": "2.0", "id": came.id, "error": {"code": -32602, "message": "no"}}
        await peer.send(whole(json.dumps(refusal).encode(), status=b"400 Bad Request"))
        (told,) = await answers([wire])
        assert (told["id"], told["error"]["code"], server.calls.qsize()) == (7, -32602, 0)
