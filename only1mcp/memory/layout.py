"""The plan of the shared mapping: which words are whose."""

import mmap
from dataclasses import dataclass

from only1mcp.memory.lasting import Lasting

WORD = 8
ROLES = ("supervisor", "control", "host", "demo")
ENDED_SLOTS = 32_768
MARK_SLOTS = 32_768
MARK_WORDS = 4
CELLS = 1024
"""Callers that are counted apart, in the life of a gateway."""
CACHE_TARGETS = 4096
"""Words for the targets of calls; those that share one are only forgotten together."""
PROCESS_WORDS = 6
INSTANCE_SLOTS = 1024
INSTANCE_WORDS = INSTANCE_COLUMN = 8
MAX_COLUMNS = 64
"""Of workers, in the table of instances."""
TOLD_SLOTS = 1024
_LASTING = {
    "ended": 2 * ENDED_SLOTS, "marks": MARK_WORDS * MARK_SLOTS, "epoch": 1, "revoked": 1,
    "cells": CELLS,
}  # fmt: skip
"""The words that outlive the program."""


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
    def size_bytes(self) -> int:
        """Size of the whole mapping; pages that nobody touches cost nothing."""
        return (self.metrics + self.processes * self.metric_slots) * WORD


class SharedMemory:
    """The mapping and its sections, each an array of unsigned 64-bit words.

    Args:
        layout: the plan.
        lasting: what another program made, to go on with.
    """

    def __init__(self, layout: Layout, lasting: Lasting | None = None) -> None:
        self.layout = layout
        self._words = _map(layout.size_bytes)
        self.lasting = lasting or new_lasting()
        self.ended = self.lasting.section("ended")
        """The ended sessions, two words for each slot."""
        self.marks = self.lasting.section("marks")
        """What is remembered of sessions, `MARK_WORDS` words for each slot."""
        self.epoch = self.lasting.section("epoch")
        """One word, which grows whenever something is noted of a session."""
        self.instances: memoryview[int] = _map(INSTANCE_WORDS * INSTANCE_SLOTS * WORD)
        """What is known of each instance of a server, `INSTANCE_WORDS` words for each slot."""
        self.in_flight: memoryview[int] = _map(
            INSTANCE_COLUMN * MAX_COLUMNS * INSTANCE_SLOTS * WORD
        )
        """What each worker has under way there, `MAX_COLUMNS` columns for each slot."""
        self.reloads: memoryview[int] = _map(2 * WORD)
        """How many reloads have ended, and how many of them changed nothing for a mistake."""
        self.upgrades: memoryview[int] = _map(2 * WORD)
        """How many times the supervisor has heard the wish for an upgrade, and how it stands."""
        self.told: memoryview[int] = _map(TOLD_SLOTS * WORD)
        """Fingerprints of what the log says once, whichever process it is found out by."""
        self.revoked = self.lasting.section("revoked")
        """One word, which grows whenever credentials stop being good before their time."""
        self.blocks: memoryview[int] = _map(WORD)
        """How many blocks of ids of requests to servers were taken."""
        self.cells = self.lasting.section("cells")
        """Buckets of tokens, one for each caller; a reload neither fills nor empties them."""

        self.cache: memoryview[int] = _map((2 + layout.servers + CACHE_TARGETS) * WORD)
        """What has changed that answers were made of: a word for everything, one that counts
        all changes, one for each server, and those of targets."""
        self.swept: memoryview[int] = _map(max(layout.workers, 1) * WORD)
        """Up to which of all those changes each worker has let go of answers."""

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


def new_lasting(file: int | None = None) -> Lasting:
    """Make the words that outlive the program, or take over those of the one before.

    Raises:
        NotUnderstood: its words are not ours.
    """
    return Lasting(_LASTING, file)


def _map(size_bytes: int) -> "memoryview[int]":
    """Return memory that will be shared with every process forked from now on."""
    return memoryview(mmap.mmap(-1, size_bytes)).cast("Q")
