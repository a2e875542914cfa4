"""First requests, which a parser is made for once they are there as a whole."""

import pytest

from only1mcp.ingress.held import SMALL, Held
from only1mcp.ingress.limits import Limits
from tests.support.guarded_site import GET, POST, Site, site
from tests.support.loop import eventually, on_loop
from tests.support.wire import Wire


@on_loop
async def test_no_parser_is_made_for_less_than_a_request() -> None:
    """What has come of its body is counted, until a parser has it, or the client has gone."""
    async with site() as (subject, wire):
        held = subject.connections.held
        await wire.send(POST % 4 + b"ab")
        await eventually(lambda: held.held == len(POST % 4 + b"ab"), "it to be gathered")
        assert subject.http.connections == []
        await wire.send(b"cd" + GET % b"next")
        assert [(await wire.reply()).body for _ in range(2)] == [b"/x abcd", b"/next "]
        assert held.held == 0
        async with subject.open() as port, Wire(port) as other:
            await other.send(POST % 4)
            await eventually(lambda: held.held, "it to be gathered")
            other.writer.transport.abort()
            await eventually(lambda: not held.held, "it to be forgotten")


LARGE = Limits(max_body=SMALL * 2, max_header=1000)
CHUNKED = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTS = b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "room"),
    [(EXPECTS, SMALL), (POST % (SMALL + 1), SMALL * 4), (POST % 4 + b"ab", 60),
     (CHUNKED + b"%x\r\n" % (SMALL + 1) + b"x" * SMALL, SMALL * 4)],
    ids=["asks first", "large", "no room", "more than was to be expected"],
)  # fmt: skip
@on_loop
async def test_some_are_handled_before_they_are_whole(begun: bytes, room: int) -> None:
    """Who waits for a word, who sends much, and whom the handler is to refuse."""
    subject = Site(LARGE, 100, Held(room))
    async with subject.open() as port, Wire(port) as wire:
        await wire.send(begun)
        await eventually(lambda: subject.begun == ["/x"], "the handler to begin")
        assert subject.connections.held.held == 0


@on_loop
async def test_what_comes_behind_the_last_request_does_not_spoil_it() -> None:
    """Of a client that says that the connection ends, and goes on, the first is answered."""
    async with site() as (subject, wire):
        last = POST.replace(b"Host: h", b"Host: h\r\nConnection: close") % 4 + b"ab"
        await wire.send(last)
        await eventually(lambda: subject.connections.held.held == len(last), "it to be gathered")
        await wire.send(b"cd" + GET % b"behind")
        assert (await wire.reply()).body == b"/x abcd"
    assert subject.begun == ["/x"]


@pytest.mark.parametrize("begun", [b"", b"P", POST % 4], ids=["nothing", "head", "body"])
@on_loop
async def test_only_connections_without_a_request_are_let_go(begun: bytes) -> None:
    """What has begun may come to its end."""
    async with site() as (subject, wire):
        await eventually(lambda: subject.connections.fresh, "the connection to be there")
        (guard,) = subject.connections.fresh
        if begun:
            await wire.send(begun)
            await eventually(lambda: not guard._framer.idle, "it to be read")
        subject.connections.let_go()
        if begun:
            await wire.send((POST % 4 + b"abcd")[len(begun) :])
            assert (await wire.reply()).body == b"/x abcd"
        else:
            assert await wire.ended() == b""
        assert not subject.connections.fresh
