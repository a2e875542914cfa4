"""One HTTP server as the host sees it: probed, listed, and checked from then on."""

import asyncio
import logging

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import BackendTimeout, Only1MCPError
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
_FIRST_RETRY_S = 0.25
_LIST_EVERY = 6
"""Every so many checks the lists are read again: not every server says when they change."""


class HttpServer:
    """Learns what the server offers and says whether it is up; calls go from the workers."""

    def __init__(
        self, server: Server, observer: Observer, tasks: Tasks, client: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.status = ServerStatus(server.id, server.transport)
        self._observer = observer
        self._tasks = tasks
        self._sessions = [open_session(server, client, place.url) for place in server.instances]
        self._loop_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._loop_task = self._tasks.spawn(self._run())

    async def stop(self) -> None:
        """End the sessions with the server."""
        if self._loop_task is not None:
            self._loop_task.cancel()
        await asyncio.gather(*(session.close() for session in self._sessions))
        self._set_state(ServerState.STOPPED)

    async def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                session, hello = await self._meet()
                retry_s = _FIRST_RETRY_S
                await self._watch(session, hello)
            except Only1MCPError as error:
                self.status.detail = str(error)
                if self.status.state is not ServerState.DOWN:
                    _log.warning(
                        "server is down: %s", error,
                        extra={"server": self.server.id, "detail": error.detail},
                    )  # fmt: skip
                self._set_state(ServerState.DOWN)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, self.server.check_interval_s)

    async def _meet(self) -> tuple[HttpSession, Hello]:
        """Probe the instances in order; the first that answers speaks for the server."""
        for number, session in enumerate(self._sessions, start=1):
            try:
                return session, await session.probe()
            except Only1MCPError:
                if number == len(self._sessions):
                    raise
        raise AssertionError("a server has at least one instance")

    async def _watch(self, session: HttpSession, hello: Hello) -> None:
        """List, then check again and again; raises when the server fails."""
        checks = 0
        while True:
            if checks % _LIST_EVERY == 0:
                await self._list(session, hello)
            else:
                await self._ping(session, hello)
            if self.status.state is not ServerState.UP:
                self._set_state(ServerState.UP)
                _log.info("server is up", extra={"server": self.server.id})
            checks += 1
            await asyncio.sleep(self.server.check_interval_s)

    async def _list(self, session: HttpSession, hello: Hello) -> None:
        asker = _Deadline(session, self.server.handshake_timeout_s)
        catalogue = await discover_catalogue(self.server.id, hello, asker)
        self.status.note(catalogue)
        self._observer.on_catalogue(catalogue)

    async def _ping(self, session: HttpSession, hello: Hello) -> None:
        try:
            await session.ping(hello.era)
        except TimeoutError:
            raise BackendTimeout("no answer to the health check") from None

    def _set_state(self, state: ServerState) -> None:
        self.status.state = state
        if state is ServerState.UP:
            self.status.detail = ""
        self._observer.on_status(self.status)


class _Deadline:
    """Asks in our own name, each request within the handshake timeout."""

    def __init__(self, session: HttpSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def request(self, outgoing: Outgoing) -> Envelope:
        try:
            return await asyncio.wait_for(self._session.request(outgoing), self._timeout_s)
        except TimeoutError:
            raise BackendTimeout(f"no answer to {outgoing.method}") from None
