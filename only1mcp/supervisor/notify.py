"""The notification protocol of systemd: a datagram for each change of state (sd_notify(3))."""

import os
import socket
import time
from collections.abc import Mapping

_PATIENCE_S = 0.5
"""For a manager whose queue is full: what is said must not hold up those whom we look after."""


class Notifier:
    """Tells the service manager; does nothing where there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        pid = environment.get("WATCHDOG_PID", "")
        wanted = usec.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog_s: float | None = int(usec) / 2e6 if wanted else None
        """How often `alive` is to be called: half of what the manager waits; None for never."""

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager that can be told of another process.

        Whatever it is told, a container ends with its first one.
        """
        return bool(self._address) and os.getpid() != 1

    def hand_over(self, pid: int) -> None:
        """Say that another process is the service from now on; we say nothing more."""
        self._send(f"MAINPID={pid}\nREADY=1\nSTATUS=the new program has taken over")
        self._address = ""

    def ready(self, status: str) -> None:
        """Say that the service serves."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1\nSTATUS=draining")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_PATIENCE_S)
            try:
                sock.sendto(state.encode(), address)
            except OSError:
                return  # the manager is gone, or hangs; there is nobody to tell
