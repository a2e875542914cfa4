"""How long the event loop of a process keeps those waiting who have something for it."""

import asyncio
import os
import time
from collections.abc import Callable

EVERY_S = 0.025
ALERT_S, IDLE_S = 0.1, 0.25
"""The same while a loop has little to do: where somebody follows the turns, and elsewhere. A look
at a loop that sleeps costs 0.13 ms, for it has to be woken: 0.5 % of a core at the usual pace."""
BUSY = 0.03
"""The share of its time from which on a loop has more than little to do; a look's own is less."""
NOTHING_S, BREATH_S = 0.00005, 0.001
"""A turn that is this short had nothing to do. Who follows the turns leaves the loop asleep for
a moment then; at the heels of such turns it would only look at itself, with all of a core."""
OnTurn = Callable[[float, float], bool]
"""Takes the moment at which a turn of the loop ended, and its length; True to follow the next."""


class LoopWatch:
    """Looks now and then: how late a timer comes, and how long the next turn of the loop takes.

    Args:
        note: takes each wait, and what of it was our own doing, both in seconds: the rest is time
            in which the kernel let others run, on a machine that is busy.
    """

    def __init__(self, note: Callable[[float, float], None]) -> None:
        self.on_turn: OnTurn | None = None
        """Hears of the turns that are measured, and how much of each was our own doing. If it did
        not follow, there are two, and it hears of the longer: that in which the look was due, and
        that in which it came."""
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._due = self._began = self._late = self._ours = 0.0
        self._delay = _RunDelay()
        self._delayed = 0.0
        self._paced = self._used = 0.0
        """When the pace was last chosen, and the CPU time that this thread had used by then."""

    def start(self) -> None:
        """Look from now on."""
        self._delayed = self._delay.read()
        self._paced, self._used = time.monotonic(), time.thread_time()
        self._wait(self._paced, EVERY_S)

    def _wait(self, now: float, pause_s: float) -> None:
        self._due = now + pause_s
        self._loop.call_later(pause_s, self._look)

    def _pause_s(self, now: float) -> float:
        """Return how long until the next look: what does little holds up little."""
        used = time.thread_time()
        is_busy = used - self._used > BUSY * (now - self._paced)
        self._paced, self._used = now, used
        if is_busy:
            return EVERY_S
        return IDLE_S if self.on_turn is None else ALERT_S

    def _look(self) -> None:
        self._late = time.monotonic() - self._due
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        delayed = self._delay.read()
        self._ours = max(self._late - (delayed - self._delayed), 0.0)
        self._begin_turn(time.monotonic(), delayed)

    def _begin_turn(self, now: float, delayed: float) -> None:
        self._began, self._delayed = now, delayed
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        now, delayed = time.monotonic(), self._delay.read()
        length = now - self._began
        ours = max(length - (delayed - self._delayed), 0.0)
        longest = max(ours, self._ours)
        self._note(max(length, self._late), longest)
        self._late = self._ours = 0.0
        follows = self.on_turn is not None and self.on_turn(now, longest)
        if follows and longest >= NOTHING_S:
            self._begin_turn(now, delayed)
            return
        self._delayed = delayed
        self._wait(now, BREATH_S if follows else self._pause_s(now))


class _RunDelay:
    """How long this thread has waited for a CPU, as the kernel counts it."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # this kernel does not count it
            self._file = -1

    def read(self) -> float:
        """Return the seconds so far; 0 where nobody knows."""
        if self._file < 0:
            return 0.0
        return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
