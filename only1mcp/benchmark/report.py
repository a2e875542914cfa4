"""What a run has shown."""

from dataclasses import dataclass, field
from typing import Any

from only1mcp.benchmark.histogram import Histogram
from only1mcp.benchmark.message import OK

_PLAIN = ("examples", "elapsed_s", "connections", "interrupted", "unfinished", "cpu_s")


@dataclass(slots=True)
class Report:
    """The outcome of every call, and how long each took."""

    outcomes: dict[str, Histogram] = field(default_factory=dict)
    """By outcome, which is `ok` or a kind of failure: latencies from when the calls were due."""
    service: Histogram = field(default_factory=Histogram)
    """Of the calls that went well, from when they were sent."""
    refusals: dict[str, Histogram] = field(default_factory=dict)
    """The same of answers that were no success, by outcome."""
    lateness: Histogram = field(default_factory=Histogram)
    """How long after it was due each call was sent."""
    examples: dict[str, str] = field(default_factory=dict)
    """Of each kind of failure, what the first one looked like."""
    elapsed_s: float = 0.0
    connections: int = 0
    """How many were open at the same time."""
    interrupted: bool = False
    unfinished: int = 0
    """Calls that were under way when the run was interrupted."""
    cpu_s: float = 0.0
    """Of the generator itself."""

    def record(self, outcome: str, due_s: float, detail: str = "") -> None:
        """Count one call that took so long since it was due."""
        histogram = self.outcomes.get(outcome)
        if histogram is None:
            histogram = self.outcomes[outcome] = Histogram()
            if outcome != OK:
                self.examples[outcome] = detail
        histogram.record(due_s)

    def served(self, outcome: str, seconds: float) -> None:
        """Record one answer that came so long after its call was sent."""
        if outcome == OK:
            self.service.record(seconds)
        else:
            self.refusals.setdefault(outcome, Histogram()).record(seconds)

    @property
    def ok(self) -> Histogram:
        """Latencies of the calls that went well."""
        return self.outcomes.get(OK) or Histogram()

    @property
    def failures(self) -> dict[str, int]:
        """How often each kind of failure came."""
        return {kind: of.count for kind, of in self.outcomes.items() if kind != OK}

    @property
    def ok_per_second(self) -> float:
        """Calls that went well, over the time that all of them took."""
        return self.ok.count / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def calls(self) -> int:
        """All calls with an outcome."""
        return sum(histogram.count for histogram in self.outcomes.values())

    def add(self, other: "Report") -> None:
        """Count what another process has measured over the same time."""
        for kind, histogram in other.outcomes.items():
            self.outcomes.setdefault(kind, Histogram()).add(histogram)
        self.service.add(other.service)
        for kind, histogram in other.refusals.items():
            self.refusals.setdefault(kind, Histogram()).add(histogram)
        self.lateness.add(other.lateness)
        self.examples = {**other.examples, **self.examples}
        self.elapsed_s = max(self.elapsed_s, other.elapsed_s)
        self.connections += other.connections
        self.interrupted |= other.interrupted
        self.unfinished += other.unfinished
        self.cpu_s += other.cpu_s

    def to_plain(self) -> dict[str, Any]:
        """Return it as data for JSON, for `from_plain`."""
        return {
            "outcomes": {kind: of.to_plain() for kind, of in self.outcomes.items()},
            "service": self.service.to_plain(), "lateness": self.lateness.to_plain(),
            "refusals": {kind: of.to_plain() for kind, of in self.refusals.items()},
            "examples": self.examples, "elapsed_s": self.elapsed_s,
            "connections": self.connections, "interrupted": self.interrupted,
            "unfinished": self.unfinished, "cpu_s": self.cpu_s,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Report":
        """Undo `to_plain`."""
        return cls(
            outcomes={kind: Histogram.from_plain(of) for kind, of in plain["outcomes"].items()},
            service=Histogram.from_plain(plain["service"]),
            refusals={kind: Histogram.from_plain(of) for kind, of in plain["refusals"].items()},
            lateness=Histogram.from_plain(plain["lateness"]),
            **{key: plain[key] for key in _PLAIN},
        )
