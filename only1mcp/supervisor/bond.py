"""The socket between a supervisor and the one that takes its place: a word each way, and its end.

`ready` says the new one when it serves; then the old one says whether it leaves or stays as the
anchor: the process by which a terminal, a container or another service manager than systemd knows
the gateway. An anchor that ends takes the gateway with it.
"""

import socket

READY, LEAVE, ANCHOR = b"ready", b"leave", b"anchor"
_MAX_BYTES = 16
GONE = b""


class Bond:
    """One end of it; nothing here waits."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def fileno(self) -> int:
        """Return its descriptor, for `select`."""
        return self._end.fileno()

    def say(self, word: bytes) -> None:
        """Say a word; to nobody, if the other one has gone."""
        try:
            self._end.send(word, socket.MSG_NOSIGNAL)
        except OSError:
            return  # the next look tells that it has gone

    def hear(self) -> bytes | None:
        """Return what the other one said, `GONE` when it has, None when it said nothing yet."""
        try:
            return self._end.recv(_MAX_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return GONE

    def close(self) -> None:
        """Let go of it."""
        self._end.close()


def pair() -> tuple[Bond, socket.socket]:
    """Return a bond and its other end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Bond(ours), theirs


def bond_of(descriptor: int) -> Bond:
    """Return a bond that was inherited."""
    return Bond(socket.socket(fileno=descriptor))
