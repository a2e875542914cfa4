"""Checks every instance of a server, each by itself, and publishes what comes of it.

Workers read the verdicts from shared memory.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import Only1MCPError
from only1mcp.host.second_chance import SecondChance
from only1mcp.host.weighing import Weighing
from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import HEALTH, Known
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Server, without_credentials
from only1mcp.resilience.verdict import Verdict
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
RECHECK_S = 1.0
"""How soon an instance is checked again that fails."""
JITTER = 0.1
"""So much earlier or later than configured, or all instances would be checked at once."""


class InstanceCheck:
    """Checks one instance until cancelled."""

    def __init__(
        self, server: Callable[[], Server], url: str, session: HttpSession, known: Known,
        on_turn: Callable[[], None],
    ) -> None:  # fmt: skip
        self.name = without_credentials(url)
        self.why = ""
        """Why it is down, or is about to be."""
        self.verdict = Verdict()
        self._server = server
        self.session = session
        self._known = known
        self._on_turn = on_turn
        self._chance = SecondChance(known, lambda: server().breaker)
        self._era: Era | None = None

    @property
    def is_failing(self) -> bool:
        """Whether it is down, or its last check went wrong."""
        return bool(self.why) or self.verdict.is_up is False

    async def run(self) -> None:
        """Check again and again."""
        self._known.gauge.row[HEALTH] = Health.UNKNOWN
        while True:
            self.why = await self._check()
            self._judge(not self.why)
            self._chance.checked(not self.why)
            await self._chance.rest(self._pause_s())

    async def _check(self) -> str:
        """Ask; return what is wrong."""
        try:
            async with asyncio.timeout(self._server().check_timeout_s):
                if self._era is None:
                    self._era = (await self.session.probe(both=False)).era
                else:
                    await self.session.ping(self._era)
        except TimeoutError:
            return "no answer to the health check"
        except Only1MCPError as error:
            return error.for_operator()
        return ""

    def _judge(self, is_good: bool) -> None:
        server, was_up = self._server(), self.verdict.is_up
        if not self.verdict.take(is_good, server.check_failures, server.check_successes):
            return
        self._known.gauge.row[HEALTH] = Health.UP if is_good else Health.DOWN
        if is_good and was_up is False:
            self._chance.recover()
        _log.log(
            logging.INFO if is_good else logging.WARNING, "instance is %s",
            "up" if is_good else f"down: {self.why}",
            extra={"server": server.id, "instance": self.name},
        )  # fmt: skip
        self._on_turn()

    def _pause_s(self) -> float:
        interval_s = self._server().check_interval_s
        if self.why or self.verdict.is_up is False:
            return min(interval_s, RECHECK_S)
        return interval_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret


class InstanceChecks:
    """The checks of all instances of one server."""

    def __init__(
        self, server: Callable[[], Server], sessions: Sequence[HttpSession],
        known: Sequence[Known], on_turn: Callable[[], None],
    ) -> None:  # fmt: skip
        self.weighing = Weighing(server, lambda: known)
        self.checks = [
            InstanceCheck(server, place.url, session, one, on_turn)
            for place, session, one in zip(server().instances, sessions, known, strict=True)
        ]
        self._running: list[asyncio.Task[None]] = []

    def start(self, tasks: Tasks) -> None:
        """Begin; returns at once."""
        self._running = [tasks.spawn(check.run()) for check in self.checks]
        self._running.append(tasks.spawn(self.weighing.run()))

    def stop(self) -> None:
        """End the checks."""
        for task in self._running:
            task.cancel()

    def down(self) -> dict[str, str]:
        """Return the instances that are down, and why."""
        return {one.name: one.why for one in self.checks if one.verdict.is_up is False}
