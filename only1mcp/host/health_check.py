"""Asks a server on a channel again and again whether it is still there.

A process that hangs keeps its channel open: without questions nobody would learn of it, and each
call would wait for its whole time.
"""

import asyncio
import logging
from collections.abc import Callable

from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import discover
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.errors import BackendTimeout, Only1MCPError
from only1mcp.host.second_chance import SecondChance
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Server

_log = logging.getLogger(__name__)


class HealthCheck:
    """The checks of one connection.

    A server that does one thing at a time answers nothing during a call. While calls of clients
    are under way, silence tells nothing before it has lasted for as long as a call may.

    Args:
        server: returns the declaration that holds now.
        on_verdict: takes why the server is down, or nothing when it is up again.
        chance: has the server tried again when it answers.
    """

    def __init__(
        self, server: Callable[[], Server], session: PipeSession, era: Era,
        on_verdict: Callable[[str], None], chance: SecondChance,
    ) -> None:  # fmt: skip
        self._server = server
        self._session = session
        self._era = era
        self._on_verdict = on_verdict
        self._chance = chance
        self._misses = 0
        self._is_down = False
        self._heard = 0
        self._heard_at = 0.0

    async def run(self) -> None:
        """Check until cancelled."""
        self._note_life()
        while True:
            await self._chance.rest(self._server().check_interval_s)
            is_good = await self._is_answered()
            self._chance.checked(is_good)
            if is_good:
                self._take_answer()
            else:
                self._take_silence()

    async def _is_answered(self) -> bool:
        """Ask; any answer is one, and so is anything else that the server says meanwhile."""
        is_modern = self._era is Era.MODERN
        question = discover() if is_modern else Outgoing("ping", b"", Era.LEGACY, safe=True)
        try:
            await self._session.request(question, self._server().check_timeout_s)
        except BackendTimeout:
            return self._note_life()
        except Only1MCPError as error:  # the channel is going, and its end is told elsewhere
            _log.debug("no health check: %s", error, extra={"server": self._server().id})
            return True
        self._note_life()
        return True

    def _note_life(self) -> bool:
        """Note when the server was last heard; say whether that is since the last time."""
        if self._session.heard == self._heard and self._heard_at:
            return False
        self._heard = self._session.heard
        self._heard_at = asyncio.get_running_loop().time()
        return True

    def _is_excused(self) -> bool:
        silent_s = asyncio.get_running_loop().time() - self._heard_at
        return self._session.serving and silent_s < self._server().timeout_s

    def _take_answer(self) -> None:
        self._misses = 0
        if self._is_down:
            self._is_down = False
            self._on_verdict("")

    def _take_silence(self) -> None:
        self._misses += 1
        enough = self._misses >= self._server().check_failures
        if enough and not self._is_down and not self._is_excused():
            self._is_down = True
            self._on_verdict(f"{self._misses} health checks in a row were not answered")
