"""What was told already, by whichever process: what all of them find out is told once."""

import fcntl

from xxhash import xxh3_64_intdigest

from only1mcp.memory.layout import TOLD_SLOTS, SharedMemory


class Told:
    """A few fingerprints of texts. One that had to give way to another is told again."""

    def __init__(self, memory: SharedMemory, lock_file: int) -> None:
        self._words = memory.told
        self._lock_file = lock_file

    def is_news(self, text: str) -> bool:
        """Say whether this is the first time, for all processes together."""
        mark = xxh3_64_intdigest(text.encode()) | 1
        at = mark % (2 * TOLD_SLOTS) // 2
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            was_told = self._words[at] == mark
            self._words[at] = mark
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)
        return not was_told
