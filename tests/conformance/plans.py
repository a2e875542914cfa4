"""Which parts of the suite are run against a server, and how many scenarios each of them has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.conformance.suite import FIRST, NEWEST, Verdict, judge_server, required_scenarios

_PATIENCE = ("--timeout", "15000")
"""For a scenario; half of what the suite would wait for an answer that does not come."""


@dataclass(frozen=True)
class Plan:
    """One run of the suite against a server."""

    id: str
    arguments: Sequence[str]
    count: int
    """How many scenarios count: fewer than that were not run."""
    unscored: frozenset[str] = frozenset()
    """Scenarios that the suite runs besides without counting them, and that we count."""
    excused: frozenset[str] = frozenset()
    """Checks that nobody in this place can satisfy."""
    package: Path = NEWEST

    def run(self, folder: Path, url: str) -> Verdict:
        """Judge the server at this URL."""
        return judge_server(folder, url, *self.arguments, package=self.package)

    def must_be_met(self, verdict: Verdict) -> None:
        """Fail unless every scenario that counts was run and every check in it was good."""
        scored = required_scenarios(self.id) if self.unscored else verdict.scenarios
        complaints = verdict.complaints(scored, self.excused)
        assert not complaints, "\n".join(complaints)
        assert len(scored & verdict.scenarios) == self.count, verdict.output
        assert verdict.code == 0 or self.excused, verdict.output

    def must_be_exceeded(self, verdict: Verdict) -> None:
        """Fail unless the scenarios that do not count were run, and found good."""
        complaints = verdict.complaints(self.unscored)
        assert not complaints, "\n".join(complaints)
        assert self.unscored <= verdict.scenarios, verdict.output


REVISIONS = [
    Plan(
        "2025-11-25", ("--requirements", "2025-11-25", *_PATIENCE), 30,
        frozenset({"server-session-lifecycle", "json-schema-2020-12", "server-sse-polling"}),
    ),
    Plan(
        "2026-07-28", ("--requirements", "2026-07-28", *_PATIENCE), 37,
        frozenset(
            {
                "json-schema-2020-12", "http-header-validation",
                "http-custom-header-server-validation",
            }
        ),
    ),
]  # fmt: skip
OLDER = [
    Plan("2025-06-18", ("--suite", "all", "--spec-version", "2025-06-18", *_PATIENCE), 27),
    Plan("2025-03-26", ("--suite", "all", "--spec-version", "2025-03-26", *_PATIENCE), 1),
    Plan(
        "first-suite", ("--suite", "all"), 32, package=FIRST,
        # The suite claims to speak 2025-03-26 there, in which streams have neither.
        excused=frozenset({"ServerSendsPrimingEvent", "ServerSendsRetryField"}),
    ),
]  # fmt: skip

_BY_NAME = frozenset({"InputRequiredResultElicitationIncomplete", "IgnoreUnexpectedParams"})
"""The suite knows the names of a modern server's questions; those of a legacy one have none."""
_UNDECLARED = frozenset({"ServerRejectsUndeclaredCapability", "MissingCapabilityHttp400"})
"""A legacy server has no error of its own for what the client cannot do: the tool fails."""
BRIDGED = [
    ("modern", REVISIONS[0]),
    ("modern", REVISIONS[1]),
    ("legacy", REVISIONS[0]),
    ("legacy", replace(REVISIONS[1], excused=_BY_NAME | _UNDECLARED)),
]
"""Revisions with a server behind the gateway that speaks those of one era only."""
