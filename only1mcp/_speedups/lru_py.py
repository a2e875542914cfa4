"""Answers that may be given again, within a bound on bytes: who was used longest ago goes first.

An answer is good until its time is over, or until somebody says that what it was made of has
changed: that moves one of three words in shared memory (for everything, for a server, for one
target), and an answer is only as good as the sum of the three was when its call was sent. None of
them ever falls, so equal sums are equal words.
This file is the source of both twins; the types of the compiled one stand in `lru_c.pxd`.
"""

OVERHEAD = 320
"""Bytes that an entry takes besides its key and its value."""
HITS, JOINED, MISSES, ENTRIES, BYTES = range(5)
"""Words of a shelf, in the order in which metrics have them."""
SHELF = 5
LARGEST_PART = 8
"""An answer that would take more than this part of all there is, is not kept."""


class Entry:
    """One answer.

    Args:
        key: tells it from all that are not the same.
        value: the result as JSON, without the digits of its `ttlMs` if it has that.
        split: where those digits go; negative if nowhere.
        expires: seconds of `time.monotonic`.
        words: the places of the words for its server and its target.
        stamp: the sum of the words when its call was sent.
        shelf: the first word of its server's shelf.
    """

    def __init__(
        self, key: bytes, value: bytes, split: int, expires: float, words: tuple[int, int],
        stamp: int, shelf: int,
    ) -> None:  # fmt: skip
        self.key = key
        self.value = value
        self.split = split
        self.expires = expires
        self.server, self.target = words
        self.stamp = stamp
        self.shelf = shelf
        self.size = len(key) + len(value) + OVERHEAD
        self.older: Entry | None = None
        self.newer: Entry | None = None

    def text(self, now: float) -> bytes:
        """Return the result as it is given now: it says how long it is still good."""
        if self.split < 0:
            return self.value
        left = int((self.expires - now) * 1000)
        return self.value[: self.split] + str(left).encode() + self.value[self.split :]


class Lru:
    """The answers that one worker keeps.

    Args:
        max_bytes: the bound.
        epochs: the words that move when something has changed; the first is for everything.
        row: where hits, entries and bytes are counted, by shelf.
    """

    def __init__(self, max_bytes: int, epochs: "memoryview[int]", row: "memoryview[int]") -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._epochs = epochs
        self._row = row
        self._entries: dict[bytes, Entry] = {}
        self._oldest: Entry | None = None
        self._newest: Entry | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def stamp(self, server: int, target: int) -> int:
        """Return what an answer of a call that is sent now is good for."""
        return self._epochs[0] + self._epochs[server] + self._epochs[target]

    def is_good(self, entry: Entry, now: float) -> bool:
        """Say whether an answer may be given."""
        return entry.expires > now and entry.stamp == self.stamp(entry.server, entry.target)

    def get(self, key: bytes, now: float) -> Entry | None:
        """Return an answer that may be given, which is the last used from now on."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not self.is_good(entry, now):
            self._drop(entry)
            return None
        if entry is not self._newest:
            self._unlink(entry)
            self._link(entry)
        return entry

    def hit(self, entry: Entry) -> int:
        """Count that an answer was given."""
        self._row[entry.shelf + HITS] += 1
        return 0

    def put(self, entry: Entry) -> bool:
        """Keep an answer; False when it is too large, or not good any more."""
        if entry.server >= len(self._epochs) or entry.target >= len(self._epochs):
            raise IndexError(entry.target)
        if entry.shelf < 0 or entry.shelf + SHELF > len(self._row):
            raise IndexError(entry.shelf)
        if entry.stamp != self.stamp(entry.server, entry.target):
            return False  # the one that is there may have been asked for since
        before = self._entries.get(entry.key)
        if before is not None:
            self._drop(before)
        if entry.size * LARGEST_PART > self.max_bytes:
            return False
        self._entries[entry.key] = entry
        self._link(entry)
        self.size += entry.size
        self._row[entry.shelf + ENTRIES] += 1
        self._row[entry.shelf + BYTES] += entry.size
        self.shrink(self.max_bytes)
        return True

    def shrink(self, max_bytes: int) -> None:
        """Keep no more than this from now on."""
        self.max_bytes = max_bytes
        while self.size > self.max_bytes and self._oldest is not None:
            self._drop(self._oldest)

    def sweep(self, now: float) -> None:
        """Let go of all that may not be given any more."""
        entry = self._oldest
        while entry is not None:
            newer = entry.newer
            if not self.is_good(entry, now):
                self._drop(entry)
            entry = newer

    def clear(self) -> None:
        """Let go of everything."""
        while self._oldest is not None:
            self._drop(self._oldest)

    def _drop(self, entry: Entry) -> int:
        self._unlink(entry)
        del self._entries[entry.key]
        self.size -= entry.size
        self._row[entry.shelf + ENTRIES] -= 1
        self._row[entry.shelf + BYTES] -= entry.size
        return 0

    def _link(self, entry: Entry) -> int:
        """Make an entry the last used."""
        entry.older = self._newest
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = entry
        return 0

    def _unlink(self, entry: Entry) -> int:
        if entry.older is None:
            self._oldest = entry.newer
        else:
            entry.older.newer = entry.newer
        if entry.newer is None:
            self._newest = entry.older
        else:
            entry.newer.older = entry.older
        entry.older = entry.newer = None
        return 0
