"""Reads a server's lists again when it says that they have changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from only1mcp.errors import Only1MCPError
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
"""Some servers' lists change whenever they are listed."""
_FIRST_RETRY_S, _RETRIES = 0.5, 8
"""Lists that cannot be read are tried again for two minutes, each time after twice as long."""
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 60.0
"""Between looks at lists of which nobody said that they have changed; twice as long each time."""
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
        self._is_due = False
        """Whether lists are to be read although nobody said that they have changed."""
        self._failures = 0
        """How often in a row they could not be."""
        self._rest_s = 0.0
        """How long the next look waits."""
        self._looked_at = -_LONGEST_REST_S
        self._looking: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    def note(self, method: str) -> None:
        """Take a `notifications/<kind>/list_changed`."""
        self._kinds.add(method.split("/")[1])
        self._failures = 0
        self._on_note(self._server_id)

    def look_again(self) -> None:
        """Read the lists: that they have changed may have been said while nobody heard it.

        At once, or after a while if that is said again and again: some servers forget sessions, or
        end streams, as fast as they come, and to read their lists may be what makes them.
        """
        loop = asyncio.get_running_loop()
        if self._looking is not None:
            return
        if loop.time() - self._looked_at > _LONGEST_REST_S:
            self._rest_s = 0.0
        if self._rest_s:
            self._looking = loop.call_later(self._rest_s, self._look)
        else:
            self._look()
        self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)

    def _look(self) -> None:
        self._looking, self._looked_at = None, asyncio.get_running_loop().time()
        self._is_due = True
        self._failures = 0
        self._on_note(self._server_id)
        self.start()

    def put_back(self, kinds: frozenset[str]) -> None:
        """Learn that what was taken could not be read."""
        self._kinds |= kinds
        self._is_due = True

    def take(self) -> frozenset[str]:
        """Return and forget what has changed: the lists are about to be read."""
        kinds = frozenset(self._kinds)
        self._kinds.clear()
        self._is_due = False
        return kinds

    async def read(self) -> None:
        """Read the lists now; what has changed stays due if they cannot be read.

        Raises:
            Only1MCPError: why they cannot.
        """
        kinds = self.take()
        try:
            await self._relist(kinds)
        except BaseException:
            self.put_back(kinds)
            raise

    def start(self) -> None:
        """See to it that what has changed is read."""
        if self._is_wanted and (self._running is None or self._running.done()):
            self._running = self._tasks.spawn(self._run())

    @property
    def _is_wanted(self) -> bool:
        return bool(self._kinds) or self._is_due

    async def _run(self) -> None:
        await asyncio.sleep(self._delay_s())
        while self._is_wanted:
            try:
                await self.read()
            except Only1MCPError as error:
                _log.warning(
                    "the changed lists could not be read: %s", error,
                    extra={"server": self._server_id},
                )  # fmt: skip
                self._retry()
                return
            self._failures = 0
            await asyncio.sleep(self._pause_s)

    def _retry(self) -> None:
        """Try again by and by; after the last time they are read when the lists next are."""
        if self._failures < _RETRIES:
            pause_s = _FIRST_RETRY_S * 2**self._failures
            self._failures += 1
            asyncio.get_running_loop().call_later(pause_s, self.start)
