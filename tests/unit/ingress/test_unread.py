"""Bytes that a client has sent and nobody has read."""

import asyncio
import socket

from only1mcp.ingress.unread import has_unread
from tests.support.loop import eventually, on_loop


@on_loop
async def test_bytes_in_the_kernel_are_seen_until_they_are_read() -> None:
    """A connection that is gone, or none at all, has none."""
    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport.pause_reading()
        assert not has_unread(transport)
        theirs.send(b"POST")
        assert has_unread(transport)
        transport.resume_reading()
        await eventually(lambda: not has_unread(transport), "they are read")
        transport.close()
    await eventually(lambda: ours.fileno() < 0, "the connection is closed")
    assert not has_unread(transport)
    assert not has_unread(None)
