"""How a reload ended, as it is told in the log, by `status`, by `reload` and by the admin API."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from only1mcp.config.problems import Problem
from only1mcp.config.settings import Settings
from only1mcp.registry.server import Server


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One reload, from its cause to its effect."""

    cause: str
    """`file`, `signal`, `request`, or `start` for what changed while control was away."""
    ok: bool
    message: str
    number: int
    """Of the settings in force after it."""
    problems: tuple[dict[str, Any], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    """Processes that have not said in time that they work by the new settings."""
    took_ms: float = 0.0
    at: str = field(default_factory=_now)

    def to_plain(self) -> dict[str, Any]:
        """Give the outcome a form for JSON."""
        return asdict(self)


class Stopwatch:
    """Measures a reload."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def ms(self) -> float:
        """Milliseconds since the beginning."""
        return round((time.monotonic() - self._began) * 1e3, 1)


def refused(cause: str, number: int, message: str, problems: Sequence[Problem] = ()) -> Outcome:
    """Return the outcome of a reload that changed nothing for a mistake."""
    return Outcome(cause, False, message, number, tuple(one.to_plain() for one in problems))


def differences(old: Settings, new: Settings) -> tuple[tuple[str, ...], ...]:
    """Return the ids of the servers that were added, removed and changed."""
    before: dict[str, Server] = {server.id: server for server in old.servers}
    after: dict[str, Server] = {server.id: server for server in new.servers}
    return (
        tuple(key for key in after if key not in before),
        tuple(key for key in before if key not in after),
        tuple(key for key in after if key in before and after[key] != before[key]),
    )
