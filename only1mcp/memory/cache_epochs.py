"""Says to all workers at once that answers which they keep are not good any more.

A word moves whenever something has changed: the first for everything, one for each server, or one
for a target of a server (a tool, a resource). A worker that keeps an answer remembers the words as
they were before it sent the call, so that no answer is kept that was under way meanwhile.
"""

from xxhash import xxh3_64_intdigest

from only1mcp._speedups import Words
from only1mcp.memory.layout import CACHE_TARGETS, SharedMemory

_EVERYTHING, _CHANGES, _SERVERS = range(3)
TOOL, RESOURCE = "tools/call", "resources/read"


class CacheEpochs:
    """The words.

    Args:
        memory: where they are.
        lock_file: for the pure twin of `Words`.
    """

    def __init__(self, memory: SharedMemory, lock_file: int) -> None:
        self.words = memory.cache
        """The first word, and those at `places`, are what an answer depends on."""
        self._servers = memory.layout.servers
        self._shared = Words(memory.cache, lock_file)

    def places(self, slot: int, method: str, target: str) -> tuple[int, int]:
        """Return the places of a server's word and of one target's."""
        digest = xxh3_64_intdigest(f"{slot}\0{method}\0{target}".encode("utf-8", "replace"))
        return _SERVERS + slot, _SERVERS + self._servers + digest % CACHE_TARGETS

    @property
    def changes(self) -> int:
        """How often anything has changed."""
        return self.words[_CHANGES]

    def everything(self) -> None:
        """All may have changed."""
        self._move(_EVERYTHING)

    def server(self, slot: int) -> None:
        """All that a server says may have changed."""
        self._move(_SERVERS + slot)

    def target(self, slot: int, method: str, target: str) -> None:
        """What a server says to calls of one target may have changed."""
        self._move(self.places(slot, method, target)[1])

    def _move(self, at: int) -> None:
        for word in (at, _CHANGES):
            before = self._shared.load(word)
            while not self._shared.swap(word, before, before + 1):
                before = self._shared.load(word)
