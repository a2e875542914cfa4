"""Whether closing a connection would cut off what its client has sent already."""

import asyncio
import fcntl
import struct
import termios


def has_unread(transport: asyncio.BaseTransport | None) -> bool:
    """Say whether the kernel holds bytes of the client that nobody has read yet."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.fileno() < 0:
        return False
    answer = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4))
    return bool(struct.unpack("i", answer)[0])
