"""Ids of requests to servers: none is used twice, by whichever process of the gateway.

A session with a server is one for all processes, and the server must not see an id twice on it.
Each process takes a block at a time, so that nobody waits for anybody.
"""

from only1mcp._speedups import Words
from only1mcp.memory.layout import SharedMemory

BLOCK = 1 << 20
"""2^33 of them fit into the whole numbers that a server in JavaScript can tell apart."""


class MessageIds:
    """The ids of one process.

    Args:
        memory: where the blocks are counted.
        lock_file: descriptor of a file lock, for processes that cannot swap.
    """

    def __init__(self, memory: SharedMemory, lock_file: int) -> None:
        self._words = Words(memory.blocks, lock_file)
        self._next = self._end = 0

    def take(self, count: int) -> int:
        """Return the first of so many ids that nobody has used; fewer than a block."""
        if self._next + count > self._end:
            start = self._take_block() * BLOCK
            self._next, self._end = max(start, 1), start + BLOCK
        first = self._next
        self._next += count
        return first

    def _take_block(self) -> int:
        while True:
            number = self._words.load(0)
            if self._words.swap(0, number, number + 1):
                return number
