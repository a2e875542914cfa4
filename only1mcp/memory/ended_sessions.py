"""Which legacy sessions were ended before their time, known to every worker at once.

A hash table in shared memory: look-ups take no lock; the rare insertion takes a file lock, which
the kernel drops if its holder is killed. A slot is free again once the session it names would have
expired anyway. When a whole window is taken, the entry closest to its expiry gives way.
"""

import fcntl
import os

from only1mcp.memory.layout import ENDED_SLOTS, SharedMemory

_WINDOW = 64


class EndedSessions:
    """A set of 64-bit session serials with expiry times (whole seconds of the wall clock)."""

    def __init__(self, memory: SharedMemory, lock_file: int) -> None:
        self._words = memory.ended
        self._epoch = memory.epoch
        self._lock_file = lock_file

    def add(self, serial: int, expires_at: int, now: int) -> None:
        """Remember that a session was ended."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            at = self._place(serial, now)
            self._words[at] = 0  # never a new serial beside an old time
            self._words[at + 1] = expires_at
            self._words[at] = serial
            self._epoch[0] += 1
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def _place(self, serial: int, now: int) -> int:
        soonest = 0
        for step in range(_WINDOW):
            at = self._slot(serial, step)
            if self._words[at] in (0, serial) or self._words[at + 1] <= now:
                return at
            if step == 0 or self._words[at + 1] < self._words[soonest + 1]:
                soonest = at
        return soonest

    def __contains__(self, serial: int) -> bool:
        return any(self._words[self._slot(serial, step)] == serial for step in range(_WINDOW))

    @staticmethod
    def _slot(serial: int, step: int) -> int:
        return 2 * ((serial + step) % ENDED_SLOTS)


def open_lock_file() -> int:
    """Return a descriptor whose file lock the workers share; the file has no name."""
    return os.memfd_create("only1mcp-ended-sessions", os.MFD_CLOEXEC)
