"""Who does not read does not hold others up, and the worker's memory has its bounds."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack

import pytest

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.lane import Worker, call, lane_worker, legacy_call
from tests.support.loop import eventually, on_loop
from tests.support.moody_server import greet
from tests.support.raw_server import CHUNKED, EVENTS, Peer, RawServer, chunk, event, result, whole
from tests.support.wire import Wire

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")
MIB = 1 << 20
NOTE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%b"}}'


async def large(peer: Peer) -> None:
    """Answer with as many MiB as the text of the call says."""
    while True:
        came = await peer.request()
        text = came.message["params"]["arguments"]["text"]
        size = int(text) * MIB if text.isdigit() else 1
        await peer.send(whole(result(came.id, "x" * size)))


def narrow(wire: Wire) -> None:
    """Do not read, and let the system hold little of what comes."""
    sock = wire.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]


@pytest.mark.parametrize("odd", [b"", b"X-Odd: 1\r\n"], ids=["lane", "aiohttp"])
@on_loop
async def test_unread_answers_are_given_up_when_they_are_too_many(odd: bytes) -> None:
    """Those that have waited longest; a client that reads is served all the while."""
    async with (
        RawServer(large).open() as url,
        lane_worker(url, max_body="64KiB", max_buffered="32MiB") as worker,
        AsyncExitStack() as stack,
    ):  # fmt: skip
        held = worker.graph.connections.held
        for number in range(8):
            wire = await stack.enter_async_context(worker.wire())
            narrow(wire)
            await wire.send(call(number, "10").replace(b"\r\n", b"\r\n" + odd, 1))
            await eventually(lambda: held.unread > 0, "an answer that waits")
            assert held.unread <= 42 * MIB
        await eventually(lambda: worker.graph.connections.open < 8, "the longest wait to end")
        assert 0 < held.unread <= 32 * MIB
        async with worker.wire() as reading:
            await reading.send(call(9, "5"))
            assert (await reading.reply()).status == 200
    assert held.unread == 0


async def endless(peer: Peer) -> None:
    """Say more and more before an answer that never comes."""
    while True:
        came = await peer.request()
        if not came.body or came.message["method"] != "tools/call":
            await greet(peer, came)
        elif came.message["params"]["arguments"]["text"] == "endless":
            await peer.send(EVENTS + CHUNKED)
            while True:
                await peer.send(chunk(event(NOTE % (b"x" * 50_000))))
        else:
            await peer.send(whole(result(came.id)))


@on_loop
async def test_a_stream_without_end_to_a_client_that_does_not_read_is_broken() -> None:
    """Towards both; another client is served all the while."""
    server = RawServer(endless)
    async with (
        server.open() as url, lane_worker(url, Era.LEGACY) as worker,
        worker.wire() as wire, worker.wire() as other,
    ):  # fmt: skip
        session = worker.session()
        await other.send(legacy_call(session, 1))
        assert (await other.reply()).status == 200
        narrow(wire)
        await wire.send(legacy_call(session, 2, "endless"))
        await eventually(lambda: worker.lane.busy() == 1, "the call")
        await eventually(lambda: worker.lane.busy() == 0, "its end")
        await eventually(lambda: worker.graph.connections.open == 1, "the end of its client")
        await other.send(legacy_call(session, 3))
        assert json.loads((await other.reply()).body)["id"] == 3


def is_read_from(worker: Worker) -> bool:
    """Say whether the only client is read from."""
    (front,) = worker.lane.fronts
    return bool(front.transport.is_reading())


@on_loop
async def test_a_client_whose_server_does_not_read_is_not_read_from() -> None:
    """What it sends meanwhile waits with it, however much that is; nothing of it is lost."""
    count = 200
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        requests = b"".join(call(number, "y" * 50_000) for number in range(count))
        async with asyncio.TaskGroup() as group:
            group.create_task(wire.send(requests))
            peer = await server.accept()
            await eventually(lambda: not is_read_from(worker), "the client to be left alone")
            assert worker.lane.held < MIB
            for number in range(count):
                await peer.send(whole(result((await peer.request()).id)))
                assert json.loads((await wire.reply()).body)["id"] == number
        assert worker.lane.held == 0
