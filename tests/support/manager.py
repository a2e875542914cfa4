"""A service manager that listens for notifications (sd_notify(3))."""

import contextlib
import socket
from collections.abc import Iterator

from tests.support.waiting import PATIENCE_S


class Manager:
    """Plays the service manager: hears every datagram, one after the other."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_S)
        self._socket.bind(address.replace("@", "\0"))

    def next(self) -> dict[str, str]:
        """Return the next datagram as its assignments."""
        text = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())

    def next_but_watchdog(self) -> dict[str, str]:
        """Return the next datagram that says more than that we live."""
        while (said := self.next()) == {"WATCHDOG": "1"}:
            pass
        return said

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@contextlib.contextmanager
def managed(address: str) -> Iterator[Manager]:
    """Listen at an address for the time of a `with` block."""
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.close()
