"""One end of a link, on an event loop."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from only1mcp.links.frames import FrameError, FrameReader, Kind, encode

_log = logging.getLogger(__name__)
OnFrame = Callable[["Link", Kind, int, bytes], None]
OnLink = Callable[["Link"], None]


class Link(asyncio.Protocol):
    """Sends and receives frames until either side closes."""

    def __init__(self, on_frame: OnFrame, on_close: OnLink, on_open: OnLink | None = None) -> None:
        self._on_frame = on_frame
        self._on_close = on_close
        self._on_open = on_open
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse peers that are not our own user."""
        self._transport = cast("asyncio.Transport", transport)
        if not is_ours(transport):
            self._transport.abort()
            return
        self.opened = True
        if self._on_open is not None:
            self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Hand over the frames that are complete."""
        try:
            frames = self._reader.feed(data)
        except FrameError:
            self.close()
            return
        for kind, token, payload in frames:
            self._on_frame(self, kind, token, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        del exc
        self.opened = False
        self._transport = None
        self._on_close(self)

    def send(self, kind: Kind, token: int = 0, payload: bytes = b"") -> bool:
        """Send a frame; False when nothing was sent: the link is closed, or the frame too large.

        Whoever has somebody to tell of the latter asks `fits` first.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        try:
            frame = encode(kind, token, payload)
        except FrameError as error:
            _log.error("not sent over a link: %s of kind %s", error, kind.name)
            return False
        self._transport.write(frame)
        return True

    def close(self) -> None:
        """Close the link at once."""
        if self._transport is not None:
            self._transport.abort()


def is_ours(transport: asyncio.BaseTransport) -> bool:
    """Say whether the process at the other end is of our own user."""
    return peer_uid(transport.get_extra_info("socket")) == os.getuid()


def may_ask(transport: asyncio.BaseTransport) -> bool:
    """Say whether the other end is our own user's or root's, who administers services of others."""
    return peer_uid(transport.get_extra_info("socket")) in (0, os.getuid())


def peer_uid(sock: socket.socket) -> int:
    """Return the user id of the process at the other end (SO_PEERCRED)."""
    size = struct.calcsize("3i")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", raw)[1])


async def serve(path: Path, factory: Callable[[], asyncio.Protocol]) -> asyncio.AbstractServer:
    """Listen for links at a path; what stood there is replaced."""
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - a directory in memory, once
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(factory, str(path))


async def connect(path: Path, factory: Callable[[], Link]) -> Link:
    """Open a link to the process that listens at a path.

    Raises:
        OSError: nobody listens there.
    """
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(factory, str(path))
    return link
