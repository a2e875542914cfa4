"""What is remembered of legacy sessions beside their sealed ids, for every worker at once.

A session's log level, and which stream is the one that hears its notifications. As in
`only1mcp.memory.ended_sessions`, look-ups take no lock. A mark that gives way to another session's
only costs what it remembered: the level is the default again, the stream is opened again.
"""

import fcntl

from only1mcp.memory.layout import MARK_SLOTS, MARK_WORDS, SharedMemory

_WINDOW = 16
_SERIAL, _EXPIRES, _LEVEL, _STREAM = range(MARK_WORDS)


class SessionMarks:
    """Marks by 64-bit session serial."""

    def __init__(self, memory: SharedMemory, lock_file: int) -> None:
        self._words = memory.marks
        self._epoch = memory.epoch
        self._lock_file = lock_file

    def level(self, serial: int) -> int | None:
        """Return the severity from which on the client wants log messages; None for any."""
        at = self._find(serial)
        return None if at is None or not self._words[at + _LEVEL] else self._words[at + _LEVEL] - 1

    def set_level(self, serial: int, expires: int, level: int, now: int) -> None:
        """Remember a session's log level."""
        self._set(serial, expires, now, _LEVEL, level + 1)

    def stream(self, serial: int) -> int:
        """Return the number of the stream that hears the session's notifications; 0 for none."""
        at = self._find(serial)
        return 0 if at is None else self._words[at + _STREAM]

    def set_stream(self, serial: int, expires: int, number: int, now: int) -> None:
        """Make another stream the one; the one before finds out by asking."""
        self._set(serial, expires, now, _STREAM, number)

    def _set(self, serial: int, expires: int, now: int, word: int, value: int) -> None:
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            at = self._find(serial)
            if at is None:
                at = self._free(serial, now)
                self._words[at + _SERIAL] = 0
                self._words[at + _LEVEL] = self._words[at + _STREAM] = 0
                self._words[at + _EXPIRES] = expires
                self._words[at + _SERIAL] = serial
            self._words[at + word] = value
            self._epoch[0] += 1
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def _free(self, serial: int, now: int) -> int:
        slots = [self._slot(serial, step) for step in range(_WINDOW)]
        for at in slots:
            if not self._words[at] or self._words[at + _EXPIRES] <= now:
                return at
        return min(slots, key=lambda at: self._words[at + _EXPIRES])

    def _find(self, serial: int) -> int | None:
        for step in range(_WINDOW):
            at = self._slot(serial, step)
            if self._words[at] == serial:
                return at
        return None

    @staticmethod
    def _slot(serial: int, step: int) -> int:
        return MARK_WORDS * ((serial + step) % MARK_SLOTS)
