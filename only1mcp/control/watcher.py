"""Watches the configuration file by looking at it: no other way sees each kind of change.

Editors put a new file in its place, Kubernetes turns a symbolic link two folders above it, network
file systems tell nobody. A look follows all links and costs some 3 microseconds.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK_S = 0.02
SETTLE_S = 0.005
"""How soon the second look follows when the first one saw another file."""
_Seen = tuple[int, int, int, int]


class FileWatcher:
    """Calls back when the file is another one, once it has stayed the same between two looks.

    An empty file is one that is being written.
    """

    def __init__(self, path: Path, on_change: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._on_change = on_change
        self._taken = self._last = self._look()

    def _look(self) -> _Seen | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - Path.stat costs three times as much
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def changed(self) -> bool:
        """Look; say whether there is something new to read."""
        seen, self._last = self._last, self._look()
        if self._last is None or self._last != seen or self._last == self._taken:
            return False
        if not self._last[3]:
            return False
        self._taken = self._last
        return True

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            is_moving = self._last != self._taken and self._last is not None
            await asyncio.sleep(SETTLE_S if is_moving else LOOK_S)
            if self.changed():
                await self._on_change()
