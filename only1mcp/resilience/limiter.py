"""Rates, exact over all workers: a bucket of tokens that fills evenly, as one time in one word.

The word holds when the bucket will be full again (GCRA's theoretical arrival time), in monotonic
nanoseconds, which all processes of a machine share. A call moves it on by one token's time; a call
that would move it further ahead than the whole bucket is refused, and changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from only1mcp.errors import RateLimited

SECOND_NS = 1_000_000_000
Take = Callable[[int, int, int, int], int]
"""Takes a cell's number, the time, and the rate's two numbers; returns how long to wait for a token
(all in nanoseconds), or 0 when one was taken. Atomic: see `only1mcp._speedups.Cells`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a caller may ask."""

    requests: int
    per_s: float
    burst: int
    """How many at once; then as many as the bucket fills up with."""

    @property
    def interval_ns(self) -> int:
        """The time in which one token comes, rounded so that never too many do."""
        return -(-round(self.per_s * SECOND_NS) // self.requests)

    @property
    def capacity_ns(self) -> int:
        """The time in which an empty bucket fills."""
        return self.burst * self.interval_ns


class Limiter:
    """Charges callers for what they ask."""

    def __init__(self, take: Take, on_exceeded: Callable[[int], None]) -> None:
        self._take = take
        self._on_exceeded = on_exceeded

    def charge(self, number: int, rate: Rate, now_s: float) -> None:
        """Take a token of a caller's bucket.

        Args:
            number: the caller's place, where its bucket stands.
            rate: how it fills.
            now_s: the monotonic time.

        Raises:
            RateLimited: the bucket is empty.
        """
        wait_ns = self._take(number, int(now_s * SECOND_NS), rate.interval_ns, rate.capacity_ns)
        if wait_ns:
            self._on_exceeded(number)
            wait_s = -(-wait_ns // SECOND_NS)
            raise RateLimited(
                f"beyond the rate of {rate.requests} requests in {rate.per_s:g} s, "
                f"of which {rate.burst} may come at once",
                hint=f"try again in {wait_s} s", data={"retryAfter": wait_s},
            )  # fmt: skip
