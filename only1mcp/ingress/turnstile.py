"""Has what comes in a crowd begin bit by bit, with the event loop's other work in between.

Connections that leave the fast lane cost a fraction of a millisecond each until they are answered.
When hundreds come at once, a call that comes with them would wait for all of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

SHARE_S = 0.0003
"""So much of each turn goes to those who wait; one is let in however long that takes. Beside 4,000
clients that come in four seconds p99 of calls is 1.3 to 1.8 times that of before, 1.7 to 2.6 with
a millisecond (`python -m chaos slowhttptest`, reads)."""
PATIENCE_S = 1.0
"""Who has waited for so long does not wait any longer. There are too many then, which overload
(`only1mcp.resilience.overload`) finds out from the turns that they make long."""


class Turnstile:
    """Lets a few in for each turn of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._is_taken = False
        """One was let in, and the turn after that has not come yet."""
        self._is_closed = False

    def enter(self, begin: Callable[[], None]) -> None:
        """Begin at once if nobody is before us, else when it is our turn."""
        if self._is_closed:
            return
        if self._is_taken:
            self._waiting.append((time.monotonic(), begin))
            return
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._turn)
        begin()

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed = True
        self._waiting.clear()

    def _turn(self) -> None:
        if not self._waiting:
            self._is_taken = False
            return
        asyncio.get_running_loop().call_soon(self._turn)
        now = time.monotonic()
        while self._waiting:
            self._waiting.popleft()[1]()
            is_late = self._waiting and now - self._waiting[0][0] > PATIENCE_S
            if not is_late and time.monotonic() - now >= SHARE_S:
                break
