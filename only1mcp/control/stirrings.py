"""Tells what happens to a file and on the way to it, by Linux' inotify.

An idle gateway is to cost nothing, so nobody looks where nothing stirs. What is not told here
(another machine's changes on a network file system, a folder renamed further up) is for an
unhurried look now and then.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")
"""Which watch, what happened, a cookie, and the length of the name that follows."""
_MODIFY, _ATTRIB, _CLOSE_WRITE, _OPEN, _MOVED_TO, _CREATE = 0x2, 0x4, 0x8, 0x20, 0x80, 0x100
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_OF_FILE = _OPEN | _MODIFY | _ATTRIB | _CLOSE_WRITE
_OF_FOLDER = _ATTRIB | _CLOSE_WRITE | _MOVED_TO | _CREATE
_LINKS = 40
"""As many links in a row does the kernel follow itself."""
_ITSELF = b""
"""The name in what is told of a file that is watched itself."""
Names = dict[Path, set[str]]


def names_on_the_way(path: Path) -> Names:
    """Return by folder the names under which another thing would make the path another file.

    Those of all its links, and the file's own, should that be reached.
    """
    found: Names = defaultdict(set)
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
            found[at].add(part)
            links += 1
            target = (at / part).readlink()
            ahead.extend(reversed(target.parts))
            at = Path("/") if target.is_absolute() else at
        else:
            at /= part
    found[at.parent].add(at.name)
    return found


class Stirrings:
    """Events that are set by what happens to a file, or to a name on the way to it.

    Args:
        loop: the running event loop.
        on_open: called when somebody opens the file, who may be about to change it.

    Raises:
        OSError: the system has no more of these to give.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_open: Callable[[], None] = lambda: None
    ) -> None:
        self._loop = loop
        self._on_open = on_open
        self._watches: dict[Path, int] = {}
        self._names: dict[int, set[bytes]] = defaultdict(set)
        """What matters of what each watch tells."""
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.stirred = asyncio.Event()
        """Set by anything; who waits for it clears it."""
        self.whole = asyncio.Event()
        """Set when whoever wrote the file has closed it, or something was put in its place."""
        loop.add_reader(self._descriptor, self._drain)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            told = os.read(self._descriptor, 65536)
            at = 0
            while at < len(told):
                watch, what, _, length = _EVENT.unpack_from(told, at)
                at += _EVENT.size + length
                self._take(watch, what, told[at - length : at].rstrip(b"\0"))

    def _take(self, watch: int, what: int, name: bytes) -> None:
        is_known = watch in self._names and (name in self._names[watch] or what & _IGNORED)
        if what & _OPEN and is_known:
            self._on_open()
        elif is_known or what & _OVERFLOW:
            self.stirred.set()
            if what & (_CLOSE_WRITE | _MOVED_TO):
                self.whole.set()

    def look_at(self, path: Path) -> None:
        """Look at this file and the way to it, as far as it can be looked at, at nothing else."""
        way = names_on_the_way(path)
        before, self._watches = self._watches, {}
        self._names.clear()
        self._watch(path, _OF_FILE, {_ITSELF})
        for folder, names in way.items():
            self._watch(folder, _OF_FOLDER, {os.fsencode(name) for name in names})
        for number in {*before.values()} - {*self._watches.values()}:
            _libc.inotify_rm_watch(self._descriptor, number)

    def _watch(self, path: Path, what: int, names: set[bytes]) -> None:
        """Ask for it; once more tells the same number, or that of what is in its place."""
        number = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), what)
        if number >= 0:
            self._watches[path] = number
            self._names[number] |= names

    def close(self) -> None:
        """Look no more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
