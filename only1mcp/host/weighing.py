"""Gives the instances of one server that serve worse than the others less of the calls."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from only1mcp.memory.instances import FACTOR, LATENCY, WHOLE, Known
from only1mcp.registry.server import Server
from only1mcp.resilience.weights import Experience, factors


@dataclass(slots=True)
class _Account:
    """What was seen of one instance, and how far its counts had come by then."""

    counted: tuple[int, int, int]
    experience: Experience = field(default_factory=Experience)


class Weighing:
    """Compares what workers count, as often as the server is checked.

    Args:
        server: returns the declaration that holds now.
        known: returns what is known of each of its instances.
    """

    def __init__(self, server: Callable[[], Server], known: Callable[[], Sequence[Known]]) -> None:
        self._server = server
        self._known = known
        self._accounts = {one: _Account(one.gauge.totals()) for one in known()}

    async def run(self) -> None:
        """Weigh until cancelled."""
        while True:
            await asyncio.sleep(self._server().check_interval_s)
            self.once()

    def once(self) -> None:
        """Take in what was counted since the last time."""
        known = self._known()
        self._accounts = {
            one: self._accounts.get(one) or _Account(one.gauge.totals()) for one in known
        }
        for one, account in self._accounts.items():
            before, account.counted = account.counted, one.gauge.totals()
            calls, failures, micros = (b - a for a, b in zip(before, account.counted, strict=True))
            account.experience.note(calls, failures, micros / 1e6)
        self.publish()

    def publish(self) -> None:
        """Let all know of the latest; weights stay as configured unless they may be adjusted."""
        known = [one for one in self._known() if one in self._accounts]
        seen = [self._accounts[one].experience for one in known]
        adjusts = self._server().routing.adjusts
        for one, experience, factor in zip(known, seen, factors(seen), strict=True):
            one.gauge.row[LATENCY] = round((experience.latency_s or 0.0) * 1e6)
            one.gauge.row[FACTOR] = round(factor * WHOLE) if adjusts else WHOLE
