"""What all processes know of each instance of a server, by the name of the instance.

A row is found by its name, not by its place in the configuration, so that it is the same one for
every process whatever edition of the configuration that runs on. Rows are never given back while
the gateway runs; when there are no more, a process keeps what it knows of an instance to itself.
"""

import fcntl
from array import array
from dataclasses import dataclass
from typing import Protocol

from xxhash import xxh3_64_intdigest

from only1mcp._speedups import Gauge, Words
from only1mcp.memory.layout import (
    INSTANCE_COLUMN,
    INSTANCE_SLOTS,
    INSTANCE_WORDS,
    MAX_COLUMNS,
    WORD,
    SharedMemory,
)  # fmt: skip

HEALTH, BREAKER, FACTOR, LATENCY = 1, 2, 3, 4
"""Words of a row, as `only1mcp._speedups.gauge_py` has them."""
WHOLE = 1000
"""The factor that leaves a weight as it is; so does none at all."""


class Cells(Protocol):
    """Words that may be changed by others meanwhile."""

    def load(self, at: int) -> int:
        """Return a word."""

    def swap(self, at: int, expected: int, wanted: int) -> bool:
        """Replace a word if it still is what is expected."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one instance."""

    gauge: Gauge
    words: Cells
    at: int
    """The breaker's place among the words."""

    @property
    def breaker(self) -> int:
        """The breaker's word."""
        return self.words.load(self.at)


class InstanceTable:
    """The rows, as one process reaches them.

    Args:
        memory: where they are.
        lock_file: descriptor of a file lock for the rare changes.
        column: which worker we are; any for a process that sends no calls.
    """

    def __init__(self, memory: SharedMemory, lock_file: int, column: int = 0) -> None:
        self._rows = memory.instances
        self._columns = memory.in_flight
        self._workers = min(memory.layout.workers, MAX_COLUMNS)
        self._lock_file = lock_file
        self._column = column
        self._words = Words(self._rows, lock_file)
        self._known: dict[int, Known] = {}
        """One for each instance: who counts what is under way does so once in a process."""

    def known(self, server_id: str, place: str) -> Known:
        """Return what is known of an instance; that is ours alone when there is no room."""
        key = xxh3_64_intdigest(f"{server_id}\0{place}".encode()) | 1
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(key)
        return found

    def _find(self, key: int) -> Known:
        slot = self._slot(key)
        if slot < 0 or self._column >= self._workers:
            return loose()
        at, width = slot * INSTANCE_WORDS, MAX_COLUMNS * INSTANCE_COLUMN
        row = self._rows[at : at + INSTANCE_WORDS]
        columns = self._columns[slot * width : slot * width + self._workers * INSTANCE_COLUMN]
        return Known(Gauge(row, columns, self._column), self._words, at + BREAKER)

    def _slot(self, key: int) -> int:
        """Return the slot of a name, a new one if need be; -1 when all are taken."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            for step in range(INSTANCE_SLOTS):
                slot = (key + step) % INSTANCE_SLOTS
                at = slot * INSTANCE_WORDS
                if self._rows[at] in (0, key):
                    self._rows[at] = key
                    return slot
            return -1
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)


def forget_worker(memory: SharedMemory, column: int) -> None:
    """Take back what a worker had under way when it ended."""
    if column >= MAX_COLUMNS:
        return
    width = MAX_COLUMNS * INSTANCE_COLUMN
    for slot in range(INSTANCE_SLOTS):
        if memory.instances[slot * INSTANCE_WORDS]:
            memory.in_flight[slot * width + column * INSTANCE_COLUMN] = 0


class _OwnWords:
    """Words that nobody else changes."""

    def __init__(self, words: "memoryview[int]") -> None:
        self._words = words

    def load(self, at: int) -> int:
        return self._words[at]

    def swap(self, at: int, expected: int, wanted: int) -> bool:
        if self._words[at] != expected:
            return False
        self._words[at] = wanted
        return True


def unshared(server_id: str, place: str) -> Known:
    """Know an instance alone, whichever it is."""
    del server_id, place
    return loose()


def loose() -> Known:
    """Return an instance of which only this process knows."""
    row = memoryview(array("Q", bytes(INSTANCE_WORDS * WORD)))
    columns = memoryview(array("Q", bytes(INSTANCE_COLUMN * WORD)))
    return Known(Gauge(row, columns, 0), _OwnWords(row), BREAKER)
