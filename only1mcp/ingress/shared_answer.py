"""One answer for all who ask the same at about the same time."""

import asyncio
import time
from collections.abc import Callable

PAUSE_S = 0.05
"""So long at least between two that are made: it costs a millisecond, in which nobody is served."""
CROWD = 16
"""So many ask between two: the next ones are made rarely enough to take a hundredth of the time."""
_PART = 100


class SharedAnswer:
    """Makes it after the last of those has asked who wait for it: alone, nobody gets an older one.

    In a crowd it may be as old as two pauses, some tenths of a second: where somebody waits for the
    next one already, others get the last one, if that is still new.

    Args:
        make: makes it; what it raises, all get who wait.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._next: asyncio.Future[bytes] | None = None
        self._last: bytes | None = None
        self._made = -PAUSE_S
        self._pause_s = PAUSE_S
        self._asked = 0
        """How many have asked since the last one was made."""

    def at_once(self) -> bytes | None:
        """Return the last one, if it will do; None for who has to wait."""
        self._asked += 1
        is_new = time.monotonic() < self._made + 2 * self._pause_s
        return self._last if self._next is not None and is_new else None

    async def get(self) -> bytes:
        """Wait for the next one."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_later(max(self._made + self._pause_s - time.monotonic(), 0), self._answer)
        return await asyncio.shield(self._next)  # who leaves takes it from nobody

    def _answer(self) -> None:
        asked, self._next = self._next, None
        assert asked is not None
        self._made, self._last = time.monotonic(), None
        try:
            self._last = self._make()
        except Exception as error:  # noqa: BLE001 - it is theirs, and told where they are answered
            asked.set_exception(error)
        else:
            asked.set_result(self._last)
        took_s = time.monotonic() - self._made
        self._pause_s = max(PAUSE_S, _PART * took_s) if self._asked >= CROWD else PAUSE_S
        self._asked = 0
