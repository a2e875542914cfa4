"""Watching processes by handles: unlike a pid, a handle never comes to mean another process."""

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from only1mcp.transports.stdio import descendants
from tests.support.waiting import wait_until


class Herd:
    """Some processes; on leaving the block those that still live are killed.

    Args:
        pids: the processes; those that have ended already count as gone.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._handles: dict[int, int] = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._handles[pid] = os.pidfd_open(pid)

    @classmethod
    def below(cls, pid: int) -> Self:
        """Watch a process and all below it."""
        return cls([pid, *descendants(pid)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for handle in self._handles.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)

    @property
    def pids(self) -> set[int]:
        """All that are watched, alive or not."""
        return set(self._handles)

    @property
    def alive(self) -> set[int]:
        """Those that have not ended."""
        poll = select.poll()  # unlike select() it takes descriptors of any number
        for handle in self._handles.values():
            poll.register(handle, select.POLLIN)
        ended = {handle for handle, _ in poll.poll(0)}
        return {pid for pid, handle in self._handles.items() if handle not in ended}

    def wait_gone(self, timeout_s: float) -> None:
        """Wait until none is alive.

        Raises:
            TimeoutError: some are.
        """
        wait_until(lambda: not self.alive, f"the end of {sorted(self.pids)}", timeout_s)
