"""When calls are due."""

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Calls are counted from 0, and seconds from the start."""

    def due(self, elapsed_s: float) -> int:
        """Return how many calls are due by then."""

    def moment(self, number: int) -> float:
        """Return when a call is due."""


@dataclass(frozen=True, slots=True)
class Even:
    """So many calls a second, at the same distance."""

    rate: float

    def due(self, elapsed_s: float) -> int:
        """Return how many calls are due by then."""
        return math.floor(elapsed_s * self.rate) + 1

    def moment(self, number: int) -> float:
        """Return when a call is due."""
        return number / self.rate
