"""When to start again what has ended: at once, later, or rarely."""

import math

_MAX_DOUBLINGS = 60
"""More would one day pass what a float can hold."""


class RestartPolicy:
    """Backs off from a process that ends again and again, and forgives one that stays up.

    The first restart is immediate. Each further end within `stable_s` of its start doubles the
    wait, up to `longest_s`. After `park_after` such ends in a row the process is parked: it is
    still tried, but only every `parked_s`.
    """

    def __init__(
        self, *, first_s: float = 0.25, longest_s: float = 15.0, stable_s: float = 10.0,
        park_after: int = 6, parked_s: float = 60.0,
    ) -> None:  # fmt: skip
        self._first_s = first_s
        self._longest_s = longest_s
        self._stable_s = stable_s
        self._park_after = park_after
        self._parked_s = parked_s
        self._started = math.inf
        self.failures = 0
        """Ends in a row without a stable run between them."""

    @property
    def parked(self) -> bool:
        """Whether the process is in a crash loop."""
        return self.failures >= self._park_after

    def started(self, now: float) -> None:
        """Note that it runs; what ends without that was never there."""
        self._started = now

    def ended(self, now: float) -> float:
        """Note an end; returns the seconds to wait before the next start."""
        if now - self._started >= self._stable_s:
            self.failures = 0
        self._started = math.inf
        self.failures += 1
        if self.parked:
            return self._parked_s
        if self.failures == 1:
            return 0.0
        doublings = min(self.failures - 2, _MAX_DOUBLINGS)
        return min(self._first_s * 2.0**doublings, self._longest_s)
