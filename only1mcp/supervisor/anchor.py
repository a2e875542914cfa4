"""What is left of a supervisor that has handed over: the process by which others know the gateway.

A terminal, a container or a service manager waits for the process that it started; systemd alone
can be told of another one. So this one stays, passes signals on, and ends as the gateway ends.
"""

import contextlib
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from only1mcp.supervisor.reaping import reaped

TICK_S = 0.5


class Anchor:
    """Stands in for the gateway.

    Args:
        pid: of the supervisor that took over; 0 if it has ended since.
        ended_with: its exit code, if it has.
        signals: where our handlers put what comes.
        wakeup: readable when something came.
        running: returns the pid of the supervisor that runs, as others are told; 0 if none does.
    """

    def __init__(
        self, pid: int, ended_with: int, signals: list[int], wakeup: socket.socket,
        running: Callable[[], int],
    ) -> None:  # fmt: skip
        self._pid = pid or running()
        self._code = ended_with
        self._signals = signals
        self._wakeup = wakeup
        self._running = running

    def wait(self) -> int:
        """Wait until the gateway ends; returns its exit code."""
        while self._pid and Path(f"/proc/{self._pid}").exists():
            select.select([self._wakeup], [], [], TICK_S)
            with contextlib.suppress(BlockingIOError):
                self._wakeup.recv(4096)
            self._reap()
            while self._signals and self._pid:
                with contextlib.suppress(ProcessLookupError):
                    # One that has handed over in its turn may not hear any more.
                    os.kill(self._running() or self._pid, self._signals.pop(0))
        return self._code if self._code >= 0 else 128 - self._code

    def _reap(self) -> None:
        for pid, status in reaped():
            if pid == self._pid:
                self._code = os.waitstatus_to_exitcode(status)
                # One that has handed over in its turn: the kernel made the next one our child.
                other = self._running()
                self._pid = other if other != pid else 0
