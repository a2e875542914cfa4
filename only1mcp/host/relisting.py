"""Reads a server's lists again when it says that they have changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from only1mcp.errors import Only1MCPError
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
"""Some servers' lists change whenever they are listed."""
Relist = Callable[[frozenset[str]], Awaitable[None]]
"""Reads the lists; is told which kinds the server said have changed."""


def _ignore(server_id: str) -> None:
    """Nobody wants to know at once."""


class Relisting:
    """Loses no change: while lists are read they may change again.

    Args:
        server_id: for the log.
        relist: reads the lists.
        tasks: runs it.
        on_note: learns at once that lists have changed.
        delay_s: returns how long to wait for others to say the same.
    """

    def __init__(
        self, server_id: str, relist: Relist, tasks: Tasks,
        on_note: Callable[[str], None] = _ignore, pause_s: float = _PAUSE_S,
        delay_s: Callable[[], float] = lambda: 0.0,
    ) -> None:  # fmt: skip
        self._pause_s = pause_s
        self._server_id = server_id
        self._relist = relist
        self._tasks = tasks
        self._on_note = on_note
        self._delay_s = delay_s
        self._kinds: set[str] = set()
        self._running: asyncio.Task[None] | None = None

    def note(self, method: str) -> None:
        """Take a `notifications/<kind>/list_changed`."""
        self._kinds.add(method.split("/")[1])
        self._on_note(self._server_id)

    def take(self) -> frozenset[str]:
        """Return and forget what has changed: the lists are about to be read."""
        kinds = frozenset(self._kinds)
        self._kinds.clear()
        return kinds

    def start(self) -> None:
        """See to it that what has changed is read."""
        if self._kinds and (self._running is None or self._running.done()):
            self._running = self._tasks.spawn(self._run())

    async def _run(self) -> None:
        await asyncio.sleep(self._delay_s())
        while self._kinds:
            kinds = self.take()
            try:
                await self._relist(kinds)
            except Only1MCPError as error:
                _log.warning(
                    "the changed lists could not be read: %s", error,
                    extra={"server": self._server_id},
                )  # fmt: skip
                self._kinds |= kinds  # they are read the next time that lists are
                return
            await asyncio.sleep(self._pause_s)
