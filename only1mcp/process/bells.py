"""How control says that there are new settings: a counter of the kernel's for each process.

A process that starts just now finds its bell rung. Nobody listens for commands: a bell says no more
than `look at the settings`.
"""

import os
from collections.abc import Collection


class Bells:
    """One bell for each row of the process table."""

    def __init__(self, count: int) -> None:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        self._files = {row: os.eventfd(0, flags) for row in range(count)}

    def of(self, row: int) -> int:
        """Return the descriptor that becomes readable when a process is rung for."""
        return self._files[row]

    def keep(self, rows: Collection[int]) -> None:
        """Close all others: a process needs its own alone, control needs those of all."""
        for row in self._files.keys() - set(rows):
            os.close(self._files.pop(row))

    def ring(self) -> None:
        """Ring for everybody."""
        for descriptor in self._files.values():
            os.eventfd_write(descriptor, 1)


def heard(descriptor: int) -> None:
    """Let a bell fall silent."""
    os.eventfd_read(descriptor)
