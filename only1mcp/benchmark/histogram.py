"""Latencies, counted in buckets that are never wider than a hundredth of what they hold.

The layout is that of HdrHistogram: each power of two is cut into 128 equal parts, so that
recording costs the same for a microsecond and for an hour, and histograms can be added up.
"""

from collections.abc import Iterator
from typing import Any

_PARTS = 128
_PART_BITS = 7
MAX_US = 3_600_000_000
"""Longer latencies count as this, which is an hour."""
_BUCKETS = ((MAX_US.bit_length() - _PART_BITS - 1) * _PARTS) + 2 * _PARTS


class Histogram:
    """Counts of latencies; `record` takes seconds, everything else speaks microseconds."""

    __slots__ = ("_counts", "count", "max_us", "min_us", "total_us")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total_us = 0
        self.min_us = MAX_US
        self.max_us = 0

    def record(self, seconds: float) -> None:
        """Count one latency."""
        value = min(max(int(seconds * 1e6), 0), MAX_US)
        shift = max(value.bit_length() - _PART_BITS - 1, 0)
        self._counts[shift * _PARTS + (value >> shift)] += 1
        self.count += 1
        self.total_us += value
        self.min_us = min(self.min_us, value)
        self.max_us = max(self.max_us, value)

    def add(self, other: "Histogram") -> None:
        """Count what another one has counted as well."""
        for bucket, count in other._filled():
            self._counts[bucket] += count
        self.count += other.count
        self.total_us += other.total_us
        self.min_us = min(self.min_us, other.min_us)
        self.max_us = max(self.max_us, other.max_us)

    def percentile_us(self, percent: float) -> int:
        """Return what this part of all latencies does not pass; 0 when there are none."""
        wanted = max(percent / 100 * self.count, 1)
        passed = 0
        for bucket, count in self._filled():
            passed += count
            if passed >= wanted:
                return min(_bounds(bucket)[1] - 1, self.max_us)
        return self.max_us

    @property
    def mean_us(self) -> float:
        """The average; 0 when there are none."""
        return self.total_us / self.count if self.count else 0.0

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Yield (from, up to but not including, count) of every bucket that holds something."""
        for bucket, count in self._filled():
            low, high = _bounds(bucket)
            yield low, high, count

    def to_plain(self) -> dict[str, Any]:
        """Return it as data for JSON, for `from_plain`."""
        return {
            "counts": dict(self._filled()), "total_us": self.total_us, "min_us": self.min_us,
            "max_us": self.max_us,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Histogram":
        """Undo `to_plain`, also after a way through JSON."""
        made = cls()
        for bucket, count in plain["counts"].items():
            made._counts[int(bucket)] = count
            made.count += count
        made.total_us = plain["total_us"]
        made.min_us = plain["min_us"]
        made.max_us = plain["max_us"]
        return made

    def _filled(self) -> Iterator[tuple[int, int]]:
        return ((bucket, count) for bucket, count in enumerate(self._counts) if count)


def _bounds(bucket: int) -> tuple[int, int]:
    """Return the first microsecond of a bucket, and the first after it."""
    shift = max((bucket >> _PART_BITS) - 1, 0)
    part = bucket - shift * _PARTS
    return part << shift, (part + 1) << shift
