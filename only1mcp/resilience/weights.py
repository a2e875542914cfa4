"""How much of its weight an instance gets, by how fast and how well it answers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 0.1
"""Of its weight, an instance keeps so much: what gets no calls cannot show that it is well."""
MEMORY = 0.3
"""How much the latest time counts, compared with all before."""


@dataclass(slots=True)
class Experience:
    """What was seen of one instance, the latest more than what was long ago."""

    latency_s: float | None = None
    errors: float = 0.0
    """The share of calls that failed."""

    def note(self, calls: int, failures: int, seconds: float) -> None:
        """Take in the calls that ended since the last time; `seconds` is the sum of the good."""
        if not calls:
            return
        self.errors += MEMORY * (failures / calls - self.errors)
        good = calls - failures
        if good > 0:
            mean = seconds / good
            known = self.latency_s
            self.latency_s = mean if known is None else known + MEMORY * (mean - known)


def factors(seen: Sequence[Experience]) -> list[float]:
    """Return by what to multiply each weight: 1 for the best, less for those that are worse."""
    known = [one.latency_s for one in seen if one.latency_s is not None]
    best = min(known, default=0.0)
    return [
        max(LEAST, (1 - one.errors) * (best / one.latency_s if one.latency_s else 1.0))
        for one in seen
    ]
