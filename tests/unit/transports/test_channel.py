"""All kinds of channels wear one face: what holds for one holds for the others."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from only1mcp.transports.channel import Channel
from only1mcp.transports.legacy_sse import LegacySseChannel
from only1mcp.transports.stdio import ChildProcess
from only1mcp.transports.streamable_http import make_client
from only1mcp.transports.websocket import WebSocketChannel
from tests.support.heard import Heard
from tests.support.loop import eventually, on_loop
from tests.support.sse_site import SseSite
from tests.support.ws_site import echo, ws_site

LONG_S = 20.0
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
CALLS = [b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number for number in range(50)]
Opening = Callable[[Heard], AbstractAsyncContextManager[Channel]]


@asynccontextmanager
async def child(heard: Heard) -> AsyncIterator[Channel]:
    """Open a channel to a child that echoes."""
    env = {"PATH": os.environ["PATH"]}
    yield await ChildProcess.spawn([sys.executable, "-c", ECHO], env, None, heard)


@asynccontextmanager
async def websocket(heard: Heard) -> AsyncIterator[Channel]:
    """Open a channel to a WebSocket that echoes."""
    async with make_client() as client, ws_site(echo) as url:
        yield await WebSocketChannel.open(client, "srv", url, {}, LONG_S, heard)


@asynccontextmanager
async def legacy_sse(heard: Heard) -> AsyncIterator[Channel]:
    """Open a channel to an event stream that echoes."""
    site = SseSite()
    site.echoes = True
    async with make_client() as client, site.open() as url:
        yield await LegacySseChannel.open(client, "srv", url, {}, LONG_S, heard)


@asynccontextmanager
async def opened(opening: Opening) -> AsyncIterator[tuple[Channel, Heard]]:
    """Open a channel for the time of a block."""
    heard = Heard()
    async with opening(heard) as subject:
        try:
            yield subject, heard
        finally:
            subject.kill()
            await eventually(subject.exited.is_set, "the channel to be gone")


EVERY = pytest.mark.parametrize("opening", [child, websocket, legacy_sse])


@EVERY
@on_loop
async def test_every_message_goes_and_comes_whole(opening: Opening) -> None:
    """None is lost, none is altered, however large."""
    large = b'{"jsonrpc":"2.0","id":99,"method":"%b"}' % (b"x" * 2_000_000)
    async with opened(opening) as (subject, heard):
        for message in [*CALLS, large]:
            assert subject.write(message)
        await eventually(lambda: len(heard.lines) == len(CALLS) + 1, "the echo")
        assert sorted(heard.lines) == sorted([*CALLS, large])
        assert not subject.exited.is_set()


@EVERY
@on_loop
async def test_a_process_id_is_told_only_of_a_process(opening: Opening) -> None:
    """Zero stands for none: signal nobody."""
    async with opened(opening) as (subject, _):
        assert (subject.pid > 0) is isinstance(subject, ChildProcess)


@EVERY
@on_loop
async def test_what_was_written_is_sent_before_a_channel_stops(opening: Opening) -> None:
    """Then it takes no more and tells of its end once."""
    async with opened(opening) as (subject, heard):
        for message in CALLS:
            assert subject.write(message)
        await subject.stop(LONG_S)
        assert sorted(heard.lines) == sorted(CALLS)
        assert subject.exited.is_set()
        assert subject.write(CALLS[0]) is False
        await subject.stop(LONG_S)
    assert len(heard.exits) == 1


@EVERY
@on_loop
async def test_a_killed_channel_is_gone_for_good(opening: Opening) -> None:
    """Even one that was killed before it did anything, and more than once."""
    async with opened(opening) as (subject, heard):
        subject.kill()
        subject.kill()
        await eventually(subject.exited.is_set, "its end")
        assert subject.write(CALLS[0]) is False
        subject.kill()
    assert len(heard.exits) == 1
    assert heard.exits[0]
