"""Metric families, and Prometheus' text format (version 0.0.4) of them.

`prometheus_client` writes the same, but brings an HTTP server along, and 1 MiB of each gateway's
memory (docs/adr/0012). Its parser judges this in the tests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

_SUFFIX = {"counter": "_total", "gauge": "", "histogram": "", "info": "_info"}
_TYPE = {"info": "gauge"}
"""What this version of the format calls a kind that it does not know."""
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Sample:
    """One value."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(slots=True)
class Family:
    """All samples of one metric."""

    kind: Literal["counter", "gauge", "histogram", "info"]
    base: str
    """Its name, without what its kind puts after it."""
    help: str
    labels: tuple[str, ...] = ()
    samples: list[Sample] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name as it is told."""
        return self.base + _SUFFIX[self.kind]

    def add(self, values: Sequence[str], value: float) -> None:
        """Add a sample, with values of the labels."""
        labels = dict(zip(self.labels, values, strict=True))
        self.samples.append(Sample(self.name, labels, value))

    def add_info(self, facts: dict[str, str]) -> None:
        """Add a sample that says something by its labels alone."""
        self.samples.append(Sample(self.name, facts, 1))

    def add_histogram(
        self, values: Sequence[str], buckets: Iterable[tuple[str, int]], total: float
    ) -> None:
        """Add one histogram: upper bounds with how many are not above them, and the sum of all."""
        labels = dict(zip(self.labels, values, strict=True))
        count = 0
        for bound, count in buckets:
            self.samples.append(Sample(f"{self.base}_bucket", {**labels, "le": bound}, count))
        self.samples.append(Sample(f"{self.base}_count", labels, count))
        self.samples.append(Sample(f"{self.base}_sum", labels, total))


def text_of(families: Iterable[Family]) -> bytes:
    """Return the whole exposition."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help.translate(_IN_HELP)}\n")
        lines.append(f"# TYPE {family.name} {_TYPE.get(family.kind, family.kind)}\n")
        lines += map(_line, family.samples)
    return "".join(lines).encode()


def _line(sample: Sample) -> str:
    pairs = [f'{name}="{value.translate(_IN_LABEL)}"' for name, value in sample.labels.items()]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{sample.name}{labels} {float(sample.value)!r}\n"
