"""Writes down how requests ended: metrics, log, and failures for the health board."""

import logging
import time
from typing import Any

from only1mcp.errors import (
    BackendBusy,
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
)
from only1mcp.health.manager import HealthReporter
from only1mcp.observability.metrics import MetricsWriter
from only1mcp.proxy.journey import Outcome

_log = logging.getLogger("only1mcp.access")
_own_log = logging.getLogger(__name__)
_BACKEND_FAULTS = frozenset(
    kind.reason
    for kind in (BackendBusy, BackendLost, BackendProtocolError, BackendTimeout, BackendUnreachable)
)
REPORTS_S = 0.1
"""How long a worker tells the health board nothing after it has: a report costs as much as ten
calls, and while a server fails its calls there would be one for each.
"""
WITHHELD_EACH_S = 10.0
"""How often the log says, at the most, that calls to a server are not sent again."""


class Recorder:
    """One worker's book-keeping."""

    def __init__(
        self, metrics: MetricsWriter, server_ids: tuple[str, ...], reporter: HealthReporter
    ) -> None:
        self._metrics = metrics
        self._index = {server_id: index for index, server_id in enumerate(server_ids)}
        self._reporter = reporter
        self._said: dict[str, dict[str, Any]] = {}
        """What the board heard last, by server."""
        self._withheld: dict[str, float] = {}
        """From when on it may be logged again of a server that calls are not sent again."""

    def follow(self, server_ids: tuple[str, ...]) -> None:
        """Know these servers, by their slots; calls to some that were removed may still end."""
        self._index = {server_id: index for index, server_id in enumerate(server_ids)}

    def attempt(self, server_id: str, status: str, seconds: float) -> None:
        """Count one attempt on a server."""
        self._metrics.upstream(self._index[server_id], status, seconds)
        if status in _BACKEND_FAULTS:
            said = self._said.setdefault(server_id, {"failures": 0})
            said |= {"failures": said["failures"] + 1, "last": status, "at": time.monotonic()}
            self._reporter.say(server_id, dict(said))

    def retry(self, server_id: str, withheld: bool) -> None:
        """Count a call that was sent again, or withheld; the latter is logged now and then."""
        self._metrics.retry(self._index[server_id], withheld=withheld)
        now = time.monotonic()
        if withheld and now >= self._withheld.get(server_id, now):
            self._withheld[server_id] = now + WITHHELD_EACH_S
            _own_log.warning(
                "the retry budget is used up: failed calls are not sent again for now",
                extra={"server": server_id},
            )

    def batch(self, server_id: str, members: int) -> None:
        """Count a batch that was sent to a server."""
        self._metrics.batch(self._index[server_id], members)

    def breaker_turned(self, server_id: str, instance: str, state: str, why: str) -> None:
        """Tell the health board of a circuit breaker that this worker opened or closed."""
        said = self._said.setdefault(server_id, {"failures": 0})
        turn = {"state": state, "why": why, "at": time.monotonic()}
        said["breakers"] = {**said.get("breakers", {}), instance: turn}
        self._reporter.say(server_id, dict(said))

    def record(self, outcome: Outcome) -> None:
        """Count and log the end of one request."""
        self._metrics.request(outcome.method_index, outcome.status, outcome.seconds)
        self._metrics.client(outcome.principal.number)
        self.log(outcome)

    def log(self, outcome: Outcome) -> None:
        """Log the end of one request."""
        level = logging.INFO if outcome.status in ("ok", "error") else logging.WARNING
        if outcome.method == "ping":
            level = logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(
                level, outcome.method[:100] or "request",
                extra={
                    "request_id": outcome.request_id, "server": outcome.server_id,
                    "tool": outcome.target, "outcome": outcome.status, "client": outcome.client,
                    "principal": outcome.principal.id or None,
                    "cache": outcome.cache,
                    "duration_ms": round(outcome.seconds * 1e3, 2), "detail": outcome.detail,
                },
            )  # fmt: skip
