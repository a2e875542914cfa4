"""One answer for all who ask the same at about the same time."""

import asyncio
from collections.abc import Callable

PAUSE_S = 0.02
"""So long at least between two answers: who asks in a crowd waits for it, and the loop is free for
others. What is asked for costs a millisecond."""


class SharedAnswer:
    """Makes it once, after the last of them has asked: it is never older than a question.

    Args:
        make: makes it; what it raises, all of them get.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._next: asyncio.Future[bytes] | None = None
        self._made = 0.0

    async def get(self) -> bytes:
        """Return the answer."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_at(self._made + PAUSE_S, self._answer)
        return await asyncio.shield(self._next)  # who leaves takes it from nobody

    def _answer(self) -> None:
        asked, self._next = self._next, None
        assert asked is not None
        self._made = asyncio.get_running_loop().time()
        try:
            asked.set_result(self._make())
        except Exception as error:  # noqa: BLE001 - it is theirs, and told where they are answered
            asked.set_exception(error)
