"""What is known of one instance of a server, in words that all processes share.

A row belongs to all: the host writes its health and the factor of its weight, and its breaker is
changed by compare-and-swap. A column belongs to one worker: how many calls it has under way there,
and how they ended. A worker writes what it counts, not that there is one more, so that whoever
takes its place begins at nought whatever it left behind.
This file is the source of both twins; the types of the compiled one stand in `gauge_c.pxd`.
"""

KEY, HEALTH, BREAKER, FACTOR, LATENCY, WIDTH = range(6)
"""Words of a row."""
IN_FLIGHT, CALLS, FAILURES, MICROS = range(4)
"""Words of a column."""
COLUMN = 8
"""A column has a cache line to itself: workers would slow each other down otherwise."""
DOWN = 2
"""As `only1mcp.memory.health_words.Health`."""
WHOLE = 1000
"""The factor that leaves a weight as it is; so does none at all."""


class Gauge:
    """One instance as this process sees it.

    Args:
        row: the words that belong to all.
        columns: those of the workers, one after the other.
        column: which of them is ours.
    """

    def __init__(self, row: "memoryview[int]", columns: "memoryview[int]", column: int) -> None:
        self.row = row
        self.columns = columns
        self._at = column * COLUMN
        self._end = self._at + COLUMN
        self.in_flight = 0

    def enter(self) -> int:
        """Count a call that is sent there."""
        self.in_flight += 1
        if self.row[WIDTH] < self._end:  # noqa: PLR1730 - workers share the row, and writes cost
            self.row[WIDTH] = self._end
        self.columns[self._at + IN_FLIGHT] = self.in_flight
        return 0

    def leave(self) -> int:
        """Count a call that has ended there, in whatever way."""
        self.in_flight -= 1
        self.columns[self._at + IN_FLIGHT] = self.in_flight
        return 0

    def note(self, micros: int, failed: bool) -> int:
        """Count how a call ended."""
        self.columns[self._at + CALLS] += 1
        if failed:
            self.columns[self._at + FAILURES] += 1
        else:
            self.columns[self._at + MICROS] += micros
        return 0

    def load(self) -> int:
        """Return how many calls all workers have under way there."""
        total = 0
        at = IN_FLIGHT
        while at < self.row[WIDTH]:
            total += self.columns[at]
            at += COLUMN
        return total

    def calls(self) -> int:
        """Return how many calls of ours have ended there."""
        return self.columns[self._at + CALLS]

    def totals(self) -> tuple[int, int, int]:
        """Return of all workers' calls: how many ended, how many failed, microseconds of others."""
        calls = failures = micros = 0
        for at in range(0, len(self.columns), COLUMN):
            calls += self.columns[at + CALLS]
            failures += self.columns[at + FAILURES]
            micros += self.columns[at + MICROS]
        return calls, failures, micros

    def is_closed(self) -> bool:
        """Say whether its breaker lets everything through."""
        return self.row[BREAKER] >> 62 == 0
