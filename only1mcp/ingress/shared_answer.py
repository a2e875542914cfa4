"""One answer for all who ask the same at about the same time."""

import asyncio
import time
from collections.abc import Callable

PAUSE_S = 0.05
"""So long at least between two that are made: it costs a millisecond, in which nobody is served."""
CROWD, LONGEST_S = 16, 0.3
"""When so many ask between two, the next one comes later: they are to take a hundredth of the time,
but nobody waits for longer than this."""
_PART = 100


class SharedAnswer:
    """Makes it after the last of those has asked who wait for it: alone, nobody gets an older one.

    In a crowd it may be as old as two pauses, 0.6 s at the most: where somebody waits for the next
    one already, others get the last one, if that is still new.

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
        is_new = time.monotonic() < self._made + 2 * self._pause_s
        if self._next is None or self._last is None or not is_new:
            return None
        self._asked += 1
        return self._last

    async def get(self) -> bytes:
        """Wait for the next one."""
        self._asked += 1
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_later(max(self._made + self._pause_s - time.monotonic(), 0), self._answer)
        return await asyncio.shield(self._next)  # who leaves takes it from nobody

    def _answer(self) -> None:
        asked, self._next = self._next, None
        assert asked is not None
        self._made, self._last, began = time.monotonic(), None, time.thread_time()
        try:
            self._last = self._make()
        except Exception as error:  # noqa: BLE001 - it is theirs, and told where they are answered
            asked.set_exception(error)
        else:
            asked.set_result(self._last)
        rare_s = max(PAUSE_S, min(_PART * (time.thread_time() - began), LONGEST_S))
        self._pause_s = rare_s if self._asked >= CROWD else PAUSE_S
        self._asked = 0
