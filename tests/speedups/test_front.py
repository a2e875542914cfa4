"""Connections of clients in the fast lane, on real sockets."""

import asyncio
import json

import pytest

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.lane import URI, Worker, call, lane_worker, legacy_call, modern_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import modern
from tests.support.moody_server import greet
from tests.support.raw_server import Peer, RawServer, result, whole
from tests.support.wire import Wire

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


async def echo(peer: Peer) -> None:
    """Answer every call with its own id and text."""
    while True:
        came = await peer.request()
        text = came.message["params"].get("arguments", {}).get("text", "")
        await peer.send(whole(result(came.id, text)))


async def echo_on_session(peer: Peer) -> None:
    """Be a legacy server: greet, and answer every call."""
    while True:
        came = await peer.request()
        if not came.body or came.message["method"] != "tools/call":
            await greet(peer, came)
        else:
            await peer.send(whole(result(came.id)))


@on_loop
async def test_a_call_is_carried() -> None:
    """There and back, under the client's id."""
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(call("mine", "hello"))
        reply = await wire.reply()
        assert reply.status == 200
        message = json.loads(reply.body)
        assert (message["id"], message["result"]["content"][0]["text"]) == ("mine", "hello")
        assert len(worker.lane.fronts) == 1


@pytest.mark.parametrize(
    ("method", "params"),
    [("tools/call", {"uri": "s__echo"}), ("prompts/get", {"uri": "s__ask"}),
     ("resources/read", {"name": URI})],
)  # fmt: skip
@on_loop
async def test_a_target_under_the_wrong_key_is_none(method: str, params: dict[str, str]) -> None:
    """Although a call with the same target under the right key was just carried."""
    right = {"uri" if "name" in params else "name": next(iter(params.values()))}
    name = next(iter(params.values()))
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(modern_request(method, name, modern(method, right)))
        assert (await wire.reply()).status == 200
        await wire.send(modern_request(method, name, modern(method, params)))
        reply = await wire.reply()
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, -32602)


async def texts(wire: Wire, count: int) -> list[str]:
    """Read so many answers; return what they say."""
    bodies = [json.loads((await wire.reply()).body) for _ in range(count)]
    return [f"{one['id']} {one['result']['content'][0]['text']}" for one in bodies]


@pytest.mark.parametrize("count", [2, 7, 50])
@on_loop
async def test_requests_in_one_write_are_answered_in_order(count: int) -> None:
    """Each with its own answer, by one connection to the server."""
    server = RawServer(echo)
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(b"".join(call(number, f"t{number}") for number in range(count)))
        assert await texts(wire, count) == [f"{number} t{number}" for number in range(count)]
        assert (len(server.peers), len(worker.lane.fronts)) == (1, 1)


@on_loop
async def test_two_requests_may_be_cut_anywhere() -> None:
    """In the first, between the two, or in the second."""
    both = call(1, "one") + call(2, "two")
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        for at in range(1, len(both)):
            await wire.send(both[:at])
            await asyncio.sleep(0)
            await wire.send(both[at:])
            assert await texts(wire, 2) == ["1 one", "2 two"]
        assert len(worker.lane.fronts) == 1


@on_loop
async def test_requests_that_come_in_single_bytes_are_answered() -> None:
    """However many reads that takes."""
    both = call(1, "one") + call(2, "two")
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        for byte in both:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await texts(wire, 2) == ["1 one", "2 two"]


@on_loop
async def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing() -> None:
    """At whatever byte it goes; the server hears nothing of it."""
    whole_call = call()
    server = RawServer(echo)
    async with server.open() as url, lane_worker(url) as worker:
        for at in range(0, len(whole_call), 5):
            async with worker.wire() as wire:
                await wire.send(whole_call[:at])
                await eventually(lambda: worker.graph.connections.open == 1, "the connection")
            await eventually(lambda: worker.graph.connections.open == 0, "its end")
        assert (len(worker.lane.fronts), worker.lane.busy(), server.peers) == (0, 0, [])


@on_loop
async def test_a_client_that_goes_during_a_call_breaks_the_servers_connection() -> None:
    """A modern server understands that as its cancellation."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker:
        async with worker.wire() as wire:
            await wire.send(call())
            peer = await server.accept()
            await peer.request()
        assert await peer.ended() == b""
        assert worker.lane.busy() == 0
        (pool,) = worker.lane.pools
        await eventually(lambda: pool.open == 0, "the connection to be forgotten")


@on_loop
async def test_a_client_that_goes_with_requests_behind_its_call_has_none_of_them_sent() -> None:
    """Nobody would read the answers."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker:
        async with worker.wire() as wire:
            await wire.send(call(1) + call(2) + call(3))
            peer = await server.accept()
            await peer.request()
        assert await peer.ended() == b""
        assert (worker.lane.busy(), len(server.peers)) == (0, 1)


@on_loop
async def test_a_client_that_reads_late_gets_all_answers() -> None:
    """It is not read from while it does not read, and goes on where it stopped."""
    count, text = 300, "x" * 50_000
    server = RawServer(echo)
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        async with asyncio.TaskGroup() as group:
            group.create_task(wire.send(b"".join(call(number, text) for number in range(count))))
            await eventually(lambda: unread(worker), "answers that wait to be read")
            assert await texts(wire, count) == [f"{number} {text}" for number in range(count)]
        assert (len(server.peers), worker.lane.busy(), len(worker.lane.fronts)) == (1, 0, 1)


def unread(worker: Worker) -> bool:
    """Say whether the clients leave so much unread that writing to them has paused."""
    return any(front.transport.get_write_buffer_size() > 65536 for front in worker.lane.fronts)


@on_loop
async def test_a_connection_is_read_from_again_once_its_client_reads() -> None:
    """Although the next request came, and filled what may wait, while it did not."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(call(1))
        peer = await server.accept()
        came = await peer.request()
        await wire.send(call(2, "y" * 40_000))
        await peer.send(whole(result(came.id, "x" * 10_000_000)))
        await eventually(lambda: unread(worker), "an answer that waits to be read")
        assert (await wire.reply()).status == 200
        for number in (2, 3):
            await peer.send(whole(result((await peer.request()).id)))
            assert await texts(wire, 1) == [f"{number} ok"]
            await wire.send(call(3))


@on_loop
async def test_a_client_too_many_reads_why_it_is_refused() -> None:
    """Even when it sends its request first; one that leaves makes place for the next."""
    async with RawServer(echo).open() as url, lane_worker(url, max_connections=1) as worker:
        async with worker.wire() as first, worker.wire() as second:
            await first.send(call(1, "one"))
            assert await texts(first, 1) == ["1 one"]
            await second.send(call(2, "two"))
            reply = await second.reply()
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert b"hint: try again in a second" in reply.body
            assert await second.ended() == b""
        await eventually(lambda: worker.graph.connections.open == 0, "both to be gone")
        async with worker.wire() as third:
            await third.send(call(3, "three"))
            assert await texts(third, 1) == ["3 three"]


@on_loop
async def test_a_connection_is_idle_only_since_its_last_answer() -> None:
    """However long the server took for it."""
    loop, idle_s = asyncio.get_running_loop(), 1.5
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(call(1))
        peer = await server.accept()
        came, since = await peer.request(), loop.time()
        await eventually(lambda: loop.time() - since > idle_s, "a long call")
        await peer.send(whole(result(came.id)))
        assert await texts(wire, 1) == ["1 ok"]
        worker.lane.sweep(idle_s)
        await wire.send(call(2))
        await peer.send(whole(result((await peer.request()).id)))
        assert await texts(wire, 1) == ["2 ok"]
        worker.lane.sweep(-1.0)
        assert await wire.ended() == b""


@on_loop
async def test_nothing_that_a_client_makes_long_is_kept() -> None:
    """Targets, methods, capabilities and sessions are keys of what is remembered."""
    long = "x" * 20_000
    able = b'Capabilities": {"%b": {}}' % long.encode()
    body = modern("tools/list").replace(b'Capabilities": {}', able)
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        for request in (
            modern_request("tools/call", long, modern("tools/call", {"name": long})),
            modern_request(long, "x", modern(long)),
            modern_request("tools/list", "x", body),
            legacy_call(long),
        ):
            await wire.send(request)
            assert (await wire.reply()).status in (200, 400, 404)
        assert (len(worker.lane.plans), len(worker.lane.sessions)) == (0, 0)
        assert len(worker.lane.fronts) == 1


@on_loop
async def test_a_cursor_that_is_hidden_by_escapes_is_found() -> None:
    """It asks for another page than the one that is ready-made."""
    plain = modern("tools/list")
    wrong = modern("tools/list", {"cursor": "no"})
    hidden = wrong.replace(b'"cursor"', b'"\\u0063ursor"')
    assert hidden != wrong
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        codes = []
        for body in (plain, wrong, hidden):
            await wire.send(modern_request("tools/list", "", body).replace(b"Mcp-Name: \r\n", b""))
            codes.append(json.loads((await wire.reply()).body).get("error", {}).get("code"))
        assert codes == [None, -32602, -32602]


@on_loop
async def test_a_session_that_ends_elsewhere_has_ended_on_every_connection() -> None:
    """Whatever a connection remembers of the one that it named last; another one goes on."""
    async with (
        RawServer(echo_on_session).open() as url, lane_worker(url, Era.LEGACY) as worker,
        worker.wire() as wire, worker.wire() as other,
    ):  # fmt: skip
        ends, stays = worker.session(), worker.session()
        for session in (ends, stays, ends):
            await wire.send(legacy_call(session))
            assert (await wire.reply()).status == 200
        (pool,) = worker.lane.pools
        assert len(pool.idle) == 1  # the lane has carried them
        head = f"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {ends}\r\n\r\n"
        await other.send(head.encode())
        assert (await other.reply()).status in (200, 204)
        statuses = []
        for session in (ends, stays, ends):
            await wire.send(legacy_call(session))
            statuses.append((await wire.reply()).status)
        assert statuses == [404, 200, 404]
