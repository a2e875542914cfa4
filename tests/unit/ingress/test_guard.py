"""The guard on real sockets, in front of a real HTTP server."""

import asyncio
import json
import logging

import pytest

from only1mcp.ingress.limits import Limits
from tests.support.guarded_site import GET, HASTY, PATIENT, POST, Site, site
from tests.support.loop import eventually, on_loop
from tests.support.wire import Wire


@on_loop
async def test_requests_in_order_pass_and_the_connection_stays() -> None:
    """One after the other on one connection."""
    async with site() as (_, wire):
        for number in range(3):
            await wire.send(GET % b"%d" % number)
            assert (await wire.reply()).body == b"/%d " % number


@on_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    """However their bytes are cut."""
    requests = b"".join(POST % 2 + b"%02d" % number for number in range(6))
    async with site() as (_, wire):
        for at in range(0, len(requests), 37):
            await wire.send(requests[at : at + 37])
        bodies = [(await wire.reply()).body for _ in range(6)]
    assert bodies == [b"/x %02d" % number for number in range(6)]


REFUSED = [
    (b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    (b"\x16\x03\x01\x00\n", 400),
    (GET[:-2] % b"" + b"A: " + b"x" * 2000, 431),
    (POST % 5001, 413),
    (b"CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", 501),
]


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED)
@on_loop
async def test_a_refusal_says_why_and_ends_the_connection(
    request_bytes: bytes, status: int
) -> None:
    """As JSON-RPC, for MCP clients show nothing else; the server behind sees nothing."""
    async with site() as (subject, wire):
        await wire.send(request_bytes)
        reply = await wire.reply()
        assert reply.status == status
        assert (reply.headers["connection"], reply.headers["content-type"]) == (
            "close", "application/json",
        )  # fmt: skip
        error = json.loads(reply.body)
        assert (error["id"], error["error"]["code"]) == (None, -32600)
        assert await wire.ended() == b""
    assert subject.begun == []


@on_loop
async def test_nothing_is_served_after_a_refusal() -> None:
    """What a refused client sends on is not read as requests."""
    async with site() as (subject, wire):
        await wire.send(b"BAD\r\n\r\n")
        await wire.send(GET % b"later")
        assert (await wire.reply()).status == 400
        await wire.send(GET % b"latest")
        assert await wire.ended() == b""
    assert subject.begun == []


@on_loop
async def test_the_handler_does_not_answer_behind_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It had begun when the rest of its request turned out to be wrong."""
    async with site() as (subject, wire):
        await wire.send(GET % b"first")
        await wire.reply()
        subject.gate.clear()
        await wire.send(b"POST /unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        await eventually(lambda: "/unread" in subject.begun, "the handler to begin")
        await wire.send(b"wrong\r\n")
        assert (await wire.reply()).status == 400
        subject.gate.set()
        await eventually(lambda: subject.cancelled == ["/unread"], "the handler to be cancelled")
    assert not caplog.records or max(record.levelno for record in caplog.records) < logging.ERROR


@on_loop
async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    """It reads only when its whole body is out, and must find the answer, not a reset."""
    async with site() as (_, wire):
        await wire.send(POST % 4_000_000 + b"x" * 4_000_000)
        assert (await wire.reply()).status == 413


async def send_for_ever(wire: Wire) -> None:
    """Send more and more, until that fails."""
    while True:
        await wire.send(b"x" * 1000)
        await asyncio.sleep(0.01)


@on_loop
async def test_a_client_that_never_stops_sending_is_cut_off() -> None:
    """A refused client may linger for a moment, not for ever."""
    async with site() as (subject, wire):
        await wire.send(b"BAD\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(wire)
        await eventually(lambda: subject.connections.open == 0, "the count to fall")


@pytest.mark.parametrize(
    "begun", [b"G", GET[:-1] % b"x", (GET % b"x") * 2 + b"P"], ids=["first byte", "head", "third"]
)
@on_loop
async def test_a_head_that_does_not_come_in_is_answered_408(begun: bytes) -> None:
    """Also when requests before it were answered."""
    async with site(HASTY) as (_, wire):
        await wire.send(begun)
        for _ in range(begun.count(b"\r\n\r\n")):
            assert (await wire.reply()).status == 200
        assert (await wire.reply()).status == 408
        assert await wire.ended() == b""


@pytest.mark.parametrize(
    "begun",
    [POST % 10 + b"x", b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("before", [b"", GET % b"first"], ids=["gathered", "handled"])
@on_loop
async def test_a_body_that_does_not_come_in_is_answered_408(before: bytes, begun: bytes) -> None:
    """Of a first request, and of a later one, for which the handler waits already."""
    async with site(HASTY) as (subject, wire):
        if before:
            await wire.send(before)
            assert (await wire.reply()).status == 200
        await wire.send(begun)
        assert (await wire.reply()).status == 408
    assert subject.begun == (["/first", "/x"] if before else [])
    assert subject.connections.held.held == 0


@pytest.mark.parametrize("begun", [b"", POST % 4000], ids=["head", "body"])
@on_loop
async def test_one_byte_now_and_then_buys_no_time(begun: bytes) -> None:
    """A client that drips is as slow as one that stops."""
    async with site(HASTY) as (_, wire):
        await wire.send(begun)
        reply = asyncio.get_running_loop().create_task(wire.reply())
        while not reply.done():
            await wire.send(b"G")
            await asyncio.wait([reply], timeout=0.02)
        assert (await reply).status == 408


@on_loop
async def test_a_head_that_another_protocol_saw_begin_has_no_second_time() -> None:
    """Its time is up as soon as the guard is there; a body has its own."""
    site = Site(PATIENT, 100)
    async with site.open(due=0.0) as port:
        async with Wire(port) as wire:
            await wire.send(GET[:20])
            assert (await wire.reply()).status == 408
        async with Wire(port) as wire:
            await wire.send(POST % 2)
            await eventually(lambda: site.connections.held.held, "the head to be read")
            await wire.send(b"{}")
            assert (await wire.reply()).status == 200


@on_loop
async def test_head_and_body_have_their_time_each() -> None:
    """A request in two halves is no slow one; a quiet connection neither."""
    async with site() as (_, wire):
        for _ in range(2):
            await wire.send(POST[:20])
            await wire.send(POST[20:] % 4 + b"ab")
            await wire.send(b"cd")
            assert (await wire.reply()).body == b"/x abcd"


@on_loop
async def test_a_connection_that_says_nothing_is_closed() -> None:
    """Silently, after the idle timeout: it may be a browser's spare one."""
    async with site(Limits(idle_timeout_s=0.1)) as (subject, wire):
        assert await wire.ended() == b""
        await eventually(lambda: subject.connections.open == 0, "the count to fall")


@on_loop
async def test_connections_above_the_bound_are_answered_503() -> None:
    """And told to come again; those below it are not harmed."""
    subject = Site(PATIENT, bound=2)
    async with subject.open() as port:
        async with Wire(port) as first, Wire(port) as second:
            for wire in (first, second):
                await wire.send(GET % b"in")
                assert (await wire.reply()).status == 200
            async with Wire(port) as third:
                await third.send(GET % b"out")
                reply = await third.reply()
                assert (reply.status, reply.headers["retry-after"]) == (503, "1")
                assert await third.ended() == b""
            await first.send(GET % b"still")
            assert (await first.reply()).status == 200
        await eventually(lambda: subject.connections.open == 0, "the places to be free")
        async with Wire(port) as fourth:
            await fourth.send(GET % b"in")
            assert (await fourth.reply()).status == 200
    assert all(path != "/out" for path, _ in subject.seen)


@pytest.mark.parametrize(
    ("by_files", "hint", "other"),
    [(False, "proxy.limits.max_connections", "ulimit"),
     (True, "ulimit -n, LimitNOFILE=", "max_connections")],
)  # fmt: skip
@on_loop
async def test_who_is_one_too_many_is_told_what_to_raise(
    by_files: bool, hint: str, other: str
) -> None:
    """That is the setting, unless the limit of open files allows less than that."""
    subject = Site(PATIENT, bound=1)
    subject.connections.by_files = by_files
    async with subject.open() as port, Wire(port) as first:
        await first.send(GET % b"in")
        await first.reply()
        async with Wire(port) as second:
            reply = await second.reply()
        assert (reply.status, hint in reply.body.decode()) == (503, True)
        assert other not in reply.body.decode()


@on_loop
async def test_refused_connections_take_no_place() -> None:
    """A crowd at the door does not keep it shut."""
    subject = Site(PATIENT, bound=1)
    async with subject.open() as port:
        async with Wire(port) as first:
            await first.send(GET % b"in")
            await first.reply()
            crowd = [Wire(port) for _ in range(5)]
            for wire in crowd:
                await wire.__aenter__()
                assert (await wire.reply()).status == 503
            assert subject.connections.open == 1
            assert subject.connections.lingering <= 1  # the others were closed as soon as told
        await eventually(lambda: subject.connections.open == 0, "the place to be free")
        await eventually(lambda: subject.connections.lingering == 0, "nobody to linger")
        async with Wire(port) as next_one:
            await next_one.send(GET % b"in")
            assert (await next_one.reply()).status == 200
        for wire in crowd:
            wire.writer.transport.abort()


@on_loop
async def test_a_refusal_is_never_taken_for_the_answer_to_an_earlier_request() -> None:
    """While that one is under way the connection ends without a word."""
    async with site() as (subject, wire):
        subject.gate.clear()
        await wire.send(GET % b"first")
        await eventually(lambda: subject.seen, "the first request to be under way")
        await wire.send(b"BAD\r\n\r\n")
        assert await wire.ended() == b""


@on_loop
async def test_a_client_that_leaves_is_noticed_by_the_handler() -> None:
    """Its request is cancelled, not finished for nobody."""
    async with site() as (subject, wire):
        subject.gate.clear()
        await wire.send(GET % b"left")
        await eventually(lambda: subject.seen, "the request to be under way")
        wire.writer.transport.abort()
        await eventually(lambda: subject.cancelled == ["/left"], "the handler to be cancelled")


@on_loop
async def test_a_slow_reader_holds_up_nobody_but_itself() -> None:
    """Backpressure passes through the guard."""
    big = b"x" * 4999
    async with site() as (_, wire):
        for _ in range(50):
            await wire.send(POST % len(big) + big)
        for _ in range(50):
            assert len((await wire.reply()).body) == len(big) + 3
