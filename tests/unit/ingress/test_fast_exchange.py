"""Answers on a connection of the fast lane, as they are written to it."""

import asyncio

import pytest

from only1mcp.ingress.fast_exchange import FastExchange
from only1mcp.proxy.exchange import Answer
from tests.support.loop import on_loop


class Connection:
    """The lane and a client's connection in it; remembers what is written."""

    def __init__(self) -> None:
        self.draining = self.paused = False
        self.transport: asyncio.Transport | None = None
        self.written = b""
        self.is_done = False

    def write(self, data: bytes) -> None:
        """Take bytes for the client."""
        self.written += data

    def done(self, announced: bool) -> None:
        """Take note of the end."""
        assert announced is (b"chunked" not in self.written)
        self.is_done = True


@pytest.mark.parametrize("is_stream", [False, True])
@on_loop
async def test_an_array_is_the_body_or_as_many_events_as_it_has_members(is_stream: bool) -> None:
    """SDKs expect single messages on a stream, which may have begun for a sign of life alone."""
    connection = Connection()
    exchange = FastExchange(connection, connection)
    if is_stream:
        exchange.open()
    exchange.answer(Answer(200, b"[1,2]", members=(b"1", b"2")))
    assert connection.is_done
    assert connection.written.count(b"data: ") == 2 * is_stream
    assert connection.written.endswith(b"\r\n\r\n[1,2]") is not is_stream
    if is_stream:
        assert connection.written.index(b"data: 1\n\n") < connection.written.index(b"data: 2\n\n")
