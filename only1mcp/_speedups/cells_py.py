"""Buckets of tokens in shared memory, one word each; see `only1mcp.resilience.limiter`.

Python has no compare-and-swap: a lock on one byte of a file stands for it, which the kernel drops
if its holder is killed.
"""

import fcntl


class Cells:
    """The buckets.

    Args:
        words: when each bucket is full again, in nanoseconds.
        lock_file: descriptor of the file whose bytes are locked.
    """

    def __init__(self, words: "memoryview[int]", lock_file: int) -> None:
        self._words = words
        self._lock_file = lock_file

    def take(self, cell: int, now: int, interval: int, capacity: int) -> int:
        """Take a token; return 0, or after how many nanoseconds there will be one."""
        if not 0 <= cell < len(self._words):
            raise IndexError(cell)
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX, 1, 1 + cell)
        try:
            following = max(self._words[cell], now) + interval
            if following - now > capacity:
                return following - now - capacity
            self._words[cell] = following
            return 0
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN, 1, 1 + cell)
