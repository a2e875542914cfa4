"""Compare-and-swap on words of shared memory.

Python has none: a lock on a byte of a file stands for it, which the kernel drops if its holder is
killed.
"""

import fcntl


class Words:
    """Words that several processes change.

    Args:
        words: the words.
        lock_file: descriptor of the file whose bytes are locked.
    """

    def __init__(self, words: "memoryview[int]", lock_file: int) -> None:
        self._words = words
        self._lock_file = lock_file

    def load(self, at: int) -> int:
        """Return a word."""
        return self._words[at]

    def swap(self, at: int, expected: int, wanted: int) -> bool:
        """Replace a word if it still is what is expected; say whether it was."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX, 1, at)
        try:
            if self._words[at] != expected:
                return False
            self._words[at] = wanted
            return True
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN, 1, at)
