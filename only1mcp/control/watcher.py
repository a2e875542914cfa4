"""Watches the configuration file: looks at it when something stirs around it, else unhurriedly.

Editors put a new file in its place, Kubernetes turns a symbolic link two folders above it, network
file systems tell nobody; a look sees each kind of change, for it follows all links. Its time, size
and inode say whether the file is another one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from only1mcp.config.sight import Seen, look
from only1mcp.control.stirrings import Stirrings, folders

_log = logging.getLogger(__name__)
LOOK_S = 0.02
"""How soon the next look may follow, however much stirs in a folder that others use, too."""
UNHURRIED_S = 0.5
SETTLE_S = 0.005
"""How soon the second look follows when the first one saw another file."""


class FileWatcher:
    """Calls back when the file is another one, once it has stayed the same between two looks.

    An empty file is one that is being written.
    """

    def __init__(self, path: Path, on_change: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._on_change = on_change
        self.taken: Seen | None = look(path)
        """What the file was when it was last read, or found."""
        self._last = self.taken

    def changed(self) -> bool:
        """Look; say whether there is something new to read."""
        seen, self._last = self._last, look(self._path)
        if self._last is None or self._last != seen or self._last == self.taken:
            return False
        if not self._last[3]:
            return False
        self.taken = self._last
        return True

    def _is_moving(self) -> bool:
        """Say whether the last look saw another file, of which a second look will tell more."""
        return self._last is not None and self._last != self.taken and self._last[3] > 0

    async def run(self) -> None:
        """Watch for ever."""
        try:
            stirrings = Stirrings(asyncio.get_running_loop())
        except OSError as error:
            _log.warning(
                "looking for changes twice a second; hint: raise fs.inotify.max_user_instances",
                extra={"detail": str(error)},
            )
            await self._watch(asyncio.Event(), lambda: None)
            return
        with contextlib.closing(stirrings):
            await self._watch(stirrings.event, lambda: stirrings.look_at(folders(self._path)))

    async def _watch(self, stirred: asyncio.Event, follow: Callable[[], None]) -> None:
        """Look whenever that is set, and now and then; then see which folders matter now."""
        follow()
        while True:
            if self.changed():
                await self._on_change()
            elif self._is_moving():
                await asyncio.sleep(SETTLE_S)
            else:
                await asyncio.sleep(LOOK_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(UNHURRIED_S):
                        await stirred.wait()
                stirred.clear()
                follow()
