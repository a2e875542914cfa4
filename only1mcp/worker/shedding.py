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
from only1mcp.auth.principal import Principal
from only1mcp.errors import Only1MCPError, Overloaded
from only1mcp.ingress.fast_exchange import whole
from only1mcp.ingress.limits import Limits
from only1mcp.observability.metrics import MetricsWriter
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.resilience.overload import Overload

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
        self._refused = self._seen = 0
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
        follow = self._overload.turned(
            now, length_s, taken - self._counted, self._refused > self._seen
        )
        self._seen, self._counted = self._refused, taken
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
        episode = self._count(envelope, request.principal, "")
        exchange.answer(failure(envelope.id, episode.error, era_of(envelope)))
        return True

    def refusal(self, envelope: Envelope, principal: Principal, server_id: str) -> bytes:
        """Count a refusal in the lane and return the whole response."""
        return self._count(envelope, principal, server_id).write(envelope, self.lane.draining)

    def _count(self, envelope: Envelope, principal: Principal, server_id: str) -> "_Episode":
        self._refused += 1
        method = METHODS.get(envelope.method or "")
        self._metrics.refused(OTHER_INDEX if method is None else method.index, principal.number)
        episode = self._episodes.get(server_id)
        if episode is None:
            episode = self._episodes[server_id] = _Episode(server_id)
            self._look(server_id)
        episode.count += 1
        return episode

    def _look(self, server_id: str) -> None:
        """Find out whether it is over."""
        episode = self._episodes[server_id]
        if episode.is_over():
            del self._episodes[server_id]
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
        self._seen = -1
        self._written: dict[tuple[bool, bool], tuple[bytes, bytes]] = {}
        """All that is the same in each response: what comes before its length, and its end."""
        self._began = time.monotonic()
        _log.warning(
            "overloaded: requests are refused until %s has caught up", what,
            extra={"server": server_id or None},
        )  # fmt: skip

    def write(self, envelope: Envelope, closes: bool) -> bytes:
        """Write the response to one request; nothing of it is made anew that need not be."""
        key = envelope.version_start > 0, closes
        if key not in self._written:
            answer = whole(failure(b"0", self.error, era_of(envelope)), closes=closes)
            head, _, body = answer.partition(b"Content-Length")
            self._written[key] = head, body[body.index(b',"error"') :]
        head, end = self._written[key]
        body = b'{"jsonrpc":"2.0","id":%b%b' % (envelope.id or b"null", end)
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def is_over(self) -> bool:
        """Say whether nothing has been refused since the last look, and log it if so."""
        if self.count > self._seen:
            self._seen = self.count
            return False
        seconds = time.monotonic() - self._began
        _log.info("no longer overloaded: %d requests were refused in %.1f s", self.count, seconds)
        return True
