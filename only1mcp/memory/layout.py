"""The plan of the shared mapping: which words are whose."""

import mmap
from dataclasses import dataclass

WORD = 8
ROLES = ("supervisor", "control", "host", "demo")
ENDED_SLOTS = 32_768
PROCESS_WORDS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each section begins, in words of 8 bytes."""

    workers: int
    servers: int
    metric_slots: int

    @property
    def processes(self) -> int:
        """Rows in the process table: the fixed roles, then the workers."""
        return len(ROLES) + self.workers

    @property
    def health(self) -> int:
        """First word of the health section: one word for each server."""
        return self.processes * PROCESS_WORDS

    @property
    def metrics(self) -> int:
        """First word of the metrics: one row of slots for each process."""
        return self.health + self.servers

    @property
    def ended(self) -> int:
        """First word of the ended sessions: two words for each slot."""
        return self.metrics + self.processes * self.metric_slots

    @property
    def size_bytes(self) -> int:
        """Size of the whole mapping; pages that nobody touches cost nothing."""
        return (self.ended + 2 * ENDED_SLOTS) * WORD


class SharedMemory:
    """The mapping and its sections, each an array of unsigned 64-bit words."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._map = mmap.mmap(-1, layout.size_bytes)
        self._words = memoryview(self._map).cast("Q")

    def section(self, start: int, length: int) -> "memoryview[int]":
        """Return a view of some words; writes are seen by every process."""
        return self._words[start : start + length]

    def process_row(self, index: int) -> "memoryview[int]":
        """Return the words of one process."""
        return self.section(index * PROCESS_WORDS, PROCESS_WORDS)

    def metrics_row(self, index: int) -> "memoryview[int]":
        """Return the metric slots of one process."""
        slots = self.layout.metric_slots
        return self.section(self.layout.metrics + index * slots, slots)

    def take_over_ended(self, other: "SharedMemory") -> None:
        """Copy the ended sessions of another mapping."""
        length = 2 * ENDED_SLOTS
        source = other.section(other.layout.ended, length)
        if any(source):
            self.section(self.layout.ended, length)[:] = source
