"""A timer that is exact to some ten microseconds; the event loop's own counts milliseconds."""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_ABSOLUTE = 1


class Ticker:
    """Calls back again and again, until it is closed.

    Args:
        start: the first time, on the monotonic clock.
        every_s: how often.
        tick: what is called.
    """

    def __init__(self, start: float, every_s: float, tick: Callable[[], None]) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        times = struct.pack("4l", *_timespec(max(every_s, 1e-6)), *_timespec(start))
        _libc.timerfd_settime(self._fd, _ABSOLUTE, times, None)
        self._tick = tick
        asyncio.get_running_loop().add_reader(self._fd, self._on_expired)

    def close(self) -> None:
        """End it."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_expired(self) -> None:
        os.read(self._fd, 8)
        self._tick()


def _timespec(seconds: float) -> tuple[int, int]:
    whole, rest = divmod(seconds, 1)
    return int(whole), int(rest * 1e9)
