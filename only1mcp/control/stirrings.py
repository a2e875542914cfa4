"""Tells that something has happened in the folders on the way to a file, by Linux' inotify.

An idle gateway is to cost nothing, so nobody looks where nothing stirs. What these folders do not
tell (another machine's changes on a network file system, a folder renamed further up) is for an
unhurried look now and then.
"""

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x2, 0x4, 0x8, 0x80, 0x100
_MASK = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_TO | _CREATE
_LINKS = 40
"""As many links in a row does the kernel follow itself."""


def folders(path: Path) -> set[Path]:
    """Return the folders in which a change can make the path another file: those of all its links.

    The last one is the folder of the file itself, should that be reached.
    """
    found: set[Path] = set()
    ahead = list(reversed(Path(os.path.abspath(path)).parts))  # noqa: PTH100 - keeps the links
    at = Path("/")
    links = 0
    while ahead:
        part = ahead.pop()
        if part in ("/", "."):
            continue
        if part == "..":
            at = at.parent
        elif (at / part).is_symlink() and links < _LINKS:
            found.add(at)
            links += 1
            target = (at / part).readlink()
            ahead.extend(reversed(target.parts))
            at = Path("/") if target.is_absolute() else at
        else:
            at /= part
    return found | {at.parent}


class Stirrings:
    """An event that is set whenever something happens in one of the folders.

    Args:
        loop: the running event loop.

    Raises:
        OSError: the system has no more of these to give.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: dict[Path, int] = {}
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.event = asyncio.Event()
        loop.add_reader(self._descriptor, self._drain)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 65536)
        self.event.set()

    def look_at(self, wanted: set[Path]) -> None:
        """Look at these folders, as far as they can be looked at, and at no others."""
        for path in self._watches.keys() - wanted:
            _libc.inotify_rm_watch(self._descriptor, self._watches.pop(path))
        for path in wanted:  # once more tells the same number, or that of a folder in its place
            number = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), _MASK)
            if number >= 0:
                self._watches[path] = number

    def close(self) -> None:
        """Look no more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
