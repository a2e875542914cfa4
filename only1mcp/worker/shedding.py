"""Refuses requests that a worker has no room for, at once and for less than an answer would cost.

There are two reasons: the worker itself has fallen behind (`only1mcp.resilience.overload`), or one
server has, and calls to it wait in line for too long. Each time that this begins and ends it is
logged once; metrics count every refusal.
"""

import asyncio
import logging
import time
from math import inf
from typing import Any

from only1mcp._speedups import REQUEST, Envelope, scan
from only1mcp.errors import Only1MCPError, Overloaded
from only1mcp.ingress.limits import Limits
from only1mcp.observability.metrics import MetricsWriter
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.resilience.overload import Overload
from only1mcp.worker.refusals import refusal

_log = logging.getLogger(__name__)
OVER_S = 2.0
"""After so long without a refusal it is said that it is over."""


class Shedding:
    """One worker's refusals.

    Args:
        limits: bound how long requests may wait.
        metrics: counts.
    """

    def __init__(self, limits: Limits, metrics: MetricsWriter) -> None:
        self.lane: Any = None
        """The compiled lane is told from when on it refuses; None where there is none."""
        self.refuses_after = inf
        self._overload = Overload(limits.max_wait_s)
        self._patience_s = limits.max_wait_s
        self._metrics = metrics
        self.taken = 0
        """Requests beside the lane."""
        self._counted = 0
        self._episodes: dict[str, _Episode] = {}
        """What is going on, by the server's id; nothing for the worker itself."""

    def guard(self, lane: Any) -> None:
        """Tell the compiled lane what to refuse, now and from now on."""
        self.lane = lane
        lane.patience_s = self._patience_s

    def turned(self, now: float, length_s: float) -> bool:
        """Take note of a turn of the event loop; says whether to follow the next one."""
        taken = self.taken + (0 if self.lane is None else self.lane.taken)
        follow = self._overload.turned(now, length_s, taken - self._counted)
        self._counted = taken
        self.refuses_after = self._overload.refuses_after
        if self.lane is not None:
            self.lane.refuses_after = self.refuses_after
        return follow

    def takes(self, request: Request, exchange: Exchange) -> bool:
        """Refuse a message if the worker has fallen behind; False when it is to be handled."""
        self.taken += 1
        if time.monotonic() <= self.refuses_after or request.forwarded:
            return False
        try:
            envelope = scan(request.body)
        except Only1MCPError:
            return False
        if envelope.kind != REQUEST:
            return False
        method = METHODS.get(envelope.method or "")
        index = OTHER_INDEX if method is None else method.index
        self._metrics.refused(index, request.principal.number)
        episode = self._episode("")
        episode.count += 1
        exchange.answer(failure(envelope.id, episode.error, era_of(envelope)))
        return True

    def refusal(self, server_id: str) -> Any:
        """Return how the lane refuses, until it is over."""
        episode = self._episode(server_id)
        slots = {name: self._metrics.refused_slot(method.index) for name, method in METHODS.items()}
        other = self._metrics.refused_slot(OTHER_INDEX)
        episode.in_lane = refusal(episode.error, slots, other)
        return episode.in_lane

    def _episode(self, server_id: str) -> "_Episode":
        episode = self._episodes.get(server_id)
        if episode is None:
            episode = self._episodes[server_id] = _Episode(server_id)
            self._look(server_id)
        return episode

    def _look(self, server_id: str) -> None:
        """Find out whether it is over."""
        episode = self._episodes[server_id]
        if episode.is_over():
            del self._episodes[server_id]
            if self.lane is not None:
                self.lane.refusals.pop(server_id, None)
        else:
            asyncio.get_running_loop().call_later(OVER_S, self._look, server_id)


def era_of(envelope: Envelope) -> Era:
    """Return the era that a request claims to be of."""
    return Era.MODERN if envelope.version_start else Era.LEGACY


class _Episode:
    """A time in which requests are refused, for one reason."""

    def __init__(self, server_id: str) -> None:
        what = f"server {server_id}" if server_id else "the gateway"
        self.error = Overloaded.of(what)
        self.count = 0
        """Of what was refused beside the lane."""
        self.in_lane: Any = None
        self._seen = -1
        self._began = time.monotonic()
        _log.warning(
            "overloaded: requests are refused until %s has caught up", what,
            extra={"server": server_id or None},
        )  # fmt: skip

    def is_over(self) -> bool:
        """Say whether nothing has been refused since the last look, and log it if so."""
        count = self.count + (0 if self.in_lane is None else self.in_lane.count)
        if count > self._seen:
            self._seen = count
            return False
        seconds = time.monotonic() - self._began
        _log.info("no longer overloaded: %d requests were refused in %.1f s", count, seconds)
        return True
