"""Lets go of memory that a process has used and hardly needs again.

Pages of programs and libraries that are in memory as they stand on disk can be dropped at any time:
whoever needs one again finds it in the kernel's cache. Most of them served an import alone.
"""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path

_libc = ctypes.CDLL(None)
_MADV_DONTNEED = 4
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +/.*\n(?:[A-Z]\w+: .*\n)*?"
    r"Anonymous: +0 kB$",
    re.MULTILINE,
)
"""A part of a file that may not be written, and of which no page differs from the file's."""
Ranges = Sequence[tuple[int, int]]
"""Addresses and lengths."""


def unchanged_ranges() -> Ranges:
    """Return where this process, and each that it forks, has files mapped that never change."""
    found = _MAPPING.findall(Path("/proc/self/smaps").read_text())
    return [(int(start, 16), int(end, 16) - int(start, 16)) for start, end in found]


def drop(ranges: Ranges) -> None:
    """Drop these pages from this process; what it touches again comes back by itself."""
    for start, length in ranges:
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)
