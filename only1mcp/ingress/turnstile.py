"""Has what comes in a crowd begin one after the other, with the event loop's other work in between.

Connections that leave the fast lane cost a fraction of a millisecond each until they are answered.
When hundreds come at once, a call that comes with them would wait for all of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Turnstile:
    """Lets one in for each turn of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_closed = False
        """One was let in, and the turn after that has not come yet."""

    def enter(self, begin: Callable[[], None]) -> None:
        """Begin at once if nobody is before us, else when it is our turn."""
        if self._is_closed:
            self._waiting.append(begin)
            return
        self._is_closed = True
        asyncio.get_running_loop().call_soon(self._turn)
        begin()

    def _turn(self) -> None:
        if not self._waiting:
            self._is_closed = False
            return
        asyncio.get_running_loop().call_soon(self._turn)
        self._waiting.popleft()()
