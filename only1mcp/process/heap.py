"""Gives back what a burst has left in a process that has little to do since.

Two things keep it: cycles of objects, which Python looks for only while new ones are made, and the
allocator, in which what is free lies between things that stay.
"""

import ctypes
import gc

_libc = ctypes.CDLL(None)
SPARE = 16 * 1024 * 1024
"""Bytes: so much more in use, or free, is not worth a look."""
_MALLINFO = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
    "keepcost",
)  # fmt: skip


class _MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of mallinfo(3)."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO)


def _told() -> _MallocInfo:
    """Return what the allocator says; nothing but zeros where it cannot."""
    tell = getattr(_libc, "mallinfo2", None)
    if tell is None:
        return _MallocInfo()
    tell.restype = _MallocInfo
    info: _MallocInfo = tell()
    return info


def give_back_heap() -> None:
    """Return what is free to the system, where the C library can."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


class Heap:
    """What this process has allocated, looked at again and again."""

    def __init__(self) -> None:
        self._least = _in_use(_told())

    def tidy(self, *, has_turned: bool = False) -> None:
        """Let go of what nobody uses, if there may be much of it.

        Args:
            has_turned: whether the process works by other settings since the last time. Each time
                leaves cycles of objects that have grown old, which Python would hardly ever look
                for, and less and less often.
        """
        info = _told()
        if has_turned or _in_use(info) > self._least + SPARE:
            gc.collect()
            info = _told()
            self._least = _in_use(info)
        else:
            self._least = min(self._least, _in_use(info))
        if info.fordblks > SPARE:
            give_back_heap()


def _in_use(info: _MallocInfo) -> int:
    used: int = info.uordblks + info.hblkhd
    return used
