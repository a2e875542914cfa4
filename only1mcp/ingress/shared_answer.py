"""One answer for all who ask the same in one turn of the event loop."""

import asyncio
from collections.abc import Callable


class SharedAnswer:
    """Makes it once, after the last of them has asked: it is never older than a question.

    Args:
        make: makes it; what it raises, all of them get.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._next: asyncio.Future[bytes] | None = None

    async def get(self) -> bytes:
        """Return the answer."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_soon(self._answer)
        return await asyncio.shield(self._next)  # who leaves takes it from nobody

    def _answer(self) -> None:
        asked, self._next = self._next, None
        assert asked is not None
        try:
            asked.set_result(self._make())
        except Exception as error:  # noqa: BLE001 - it is theirs, and told where they are answered
            asked.set_exception(error)
