"""Watches the configuration file: looks at it when something stirs around it, else unhurriedly.

Editors put a new file in its place, Kubernetes turns a symbolic link two folders above it, network
file systems tell nobody; a look sees each kind of change, for it follows all links. Its time, size
and inode say whether the file is another one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from only1mcp.config.sight import Seen, look
from only1mcp.config.writers import is_being_saved
from only1mcp.control.stirrings import Stirrings

_log = logging.getLogger(__name__)
LOOK_S = 0.02
"""How soon the next look may follow while the file is still written."""
UNHURRIED_S = 0.5
SETTLE_S = 0.03
"""For so long must a file stay the same whose writer has not told that it is done."""
LOST_S = 2.0
"""A file that is empty or gone for so long is not about to be written: that is told."""


class FileWatcher:
    """Calls back when the file is another one, and whole.

    Either its writer has closed it, or it has stayed the same between two looks. One that somebody
    has open for writing is not whole, as far as that can be known; an empty one is not either,
    nor is one that is gone: until they have been so for a while.
    """

    def __init__(
        self, path: Path, on_change: Callable[[], Awaitable[None]],
        on_open: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._path = path
        self._on_change = on_change
        self._on_open = on_open
        self.taken: Seen | None = look(path)
        """What the file was when it was last read, or found."""
        self._last = self.taken
        self._since = time.monotonic()
        """When the last look first saw what it saw."""

    def changed(self, *, is_whole: bool = False) -> bool:
        """Look; say whether there is something new to read."""
        before, self._last = self._last, look(self._path)
        if self._last != before:
            self._since = time.monotonic()
        if self._is_new:
            is_ready = is_whole or self._last == before
        else:
            is_ready = self._last != self.taken and time.monotonic() - self._since >= LOST_S
        if not is_ready or is_being_saved(self._path):
            return False
        self.taken = self._last
        return True

    @property
    def _is_new(self) -> bool:
        """Whether the last look saw another file that says something."""
        return self._last is not None and self._last != self.taken and self._last[3] > 0

    def still(self) -> bool:
        """Say whether the file is what it was when it was taken."""
        return look(self._path) == self.taken

    async def run(self) -> None:
        """Watch for ever."""
        try:
            stirrings = Stirrings(asyncio.get_running_loop(), self._on_open)
        except OSError as error:
            _log.warning(
                "looking for changes twice a second; hint: raise fs.inotify.max_user_instances",
                extra={"detail": str(error)},
            )
            await self._watch(asyncio.Event(), asyncio.Event(), lambda: None)
            return
        with contextlib.closing(stirrings):
            follow = partial(stirrings.look_at, self._path)
            await self._watch(stirrings.stirred, stirrings.whole, follow)

    async def _watch(
        self, stirred: asyncio.Event, whole: asyncio.Event, follow: Callable[[], None]
    ) -> None:
        """Look whenever something is set, and now and then."""
        while True:
            stirred.clear()
            is_whole = whole.is_set()
            whole.clear()
            follow()  # first: what comes after the look is to be told
            if self.changed(is_whole=is_whole):
                await self._on_change()
            elif self._is_new:
                await _set(whole, UNHURRIED_S if is_being_saved(self._path) else SETTLE_S)
            elif not await _set(whole, LOOK_S):
                await _set(stirred, UNHURRIED_S)


async def _set(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event for so long; say whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()
