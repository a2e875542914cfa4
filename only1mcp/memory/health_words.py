"""One word for each server: the health board's verdict, where every worker can read it."""

import enum
from collections.abc import Sequence

from only1mcp.memory.layout import SharedMemory


class Health(enum.IntEnum):
    """What the health board thinks of a server."""

    UNKNOWN = 0
    UP = 1
    DOWN = 2
    PARKED = 3
    """Its process crashes so often that restarts are spaced out."""


class HealthWords:
    """The verdicts, by the server's slot; a slot is a server's for the life of the gateway."""

    def __init__(self, memory: SharedMemory) -> None:
        self._words = memory.section(memory.layout.health, memory.layout.servers)
        self.slots: Sequence[int] = range(memory.layout.servers)
        """Those of the servers that are configured now; the others count for nothing."""

    def read(self, index: int) -> Health:
        """Return the verdict on one server."""
        return Health(self._words[index])

    def write(self, index: int, health: Health) -> None:
        """Publish a verdict; the health board is the only caller."""
        self._words[index] = health

    def count(self) -> tuple[int, int]:
        """Return how many servers are up, and how many there are."""
        up = sum(self._words[slot] == Health.UP for slot in self.slots)
        return up, len(self.slots)

    def usable(self) -> bool:
        """Say whether any server is up, or none is declared."""
        return not self.slots or any(self._words[slot] == Health.UP for slot in self.slots)
