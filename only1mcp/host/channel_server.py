"""One server on a channel (a stdio child, a WebSocket, HTTP+SSE), kept alive, and its calls."""

import asyncio
import logging
import time
from collections.abc import Hashable
from typing import Any

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.discovery import discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.pipe_session import PipeAsker
from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Only1MCPError,
)
from only1mcp.host.channel_member import ChannelMember
from only1mcp.host.connection import Connection
from only1mcp.host.feed import Feed, Hearing
from only1mcp.host.health_check import HealthCheck
from only1mcp.host.pool import Pool
from only1mcp.host.relisting import Relisting
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.task_feed import TaskWatches
from only1mcp.host.waiting_room import WaitingRoom
from only1mcp.host.watches import Watches
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.server import Server
from only1mcp.resilience.restart_policy import RestartPolicy
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
SLOW_START = 6
"""How many times the handshake's time a server may take that did not stand the first one: some are
installed while they start."""
HOPELESS = 2
"""After so many ends in a row a server that is started again does not count as starting."""
MAX_MEMBERS = 32
"""Connections of single clients, for which a stdio server starts a process each."""


class ChannelServer:
    """Opens the channel, meets the server, serves calls on it, and opens it again when it ends.

    Calls that come while it starts wait for it; while it is down they fail at once. Clients that
    the server may ask something have connections of their own, in the pool.
    """

    def __init__(
        self, server: Server, observer: Observer, tasks: Tasks, client: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.status = ServerStatus(server.id, server.transport)
        self._observer = observer
        self._tasks = tasks
        self._client = client
        self._policy = RestartPolicy()
        self._connection: Connection | None = None
        self._waiting = WaitingRoom()
        self._probe = True
        self._patience_s = server.handshake_timeout_s
        self._hello: Hello | None = None
        self._relisting = Relisting(server.id, self._list_again, tasks, observer.on_lists_changed)
        self.watches = Watches()
        self._hearing = Hearing(server.id, self.watches, observer, self._relisting, tasks)
        self.feed: Feed | None = None
        """None while the server is down."""
        self.task_watches = TaskWatches(self._hearing)
        self.pool = Pool(server.id, self._member, MAX_MEMBERS, tasks, observer)
        self._level: int | None = None
        """The lowest severity from which on clients want log messages of no call of theirs."""
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin; returns at once."""
        self._loop_task = self._tasks.spawn(self._run())

    async def stop(self) -> None:
        """End all connections properly."""
        self._stopping = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task, self._tasks.spawn(self.pool.close())])
        self._set_state(ServerState.STOPPED)
        self._waiting.fail(self._unreachable())

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request, or have it wait for a server that starts."""
        if outgoing.features or outgoing.own:
            return self.pool.call(outgoing, sink)
        if self.status.state is ServerState.UP and self._connection is not None:
            return self._connection.session.call(outgoing, sink)
        if self.status.state is not ServerState.STARTING or self._waiting.full:
            sink.on_failure(self._unreachable())
            return lambda: None
        return self._waiting.enter(outgoing, sink)

    async def lower_level(self, level: int) -> None:
        """Have the server log from this severity on, now and after it was started again."""
        self._level = level if self._level is None else min(level, self._level)
        if self._connection is not None:
            self._connection.session.lower_level(self._level)

    async def watch(self, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer.

        Raises:
            BackendError: the server is down, or refuses.
        """
        if self.feed is None:
            raise self._unreachable()
        change = self.feed.subscribe if method == "resources/subscribe" else self.feed.unsubscribe
        await change(uri, holder)

    @property
    def forwarder(self) -> Any:
        """What takes plain calls from the workers' fast lanes now; None when nothing does."""
        is_up = self.status.state is ServerState.UP and self._connection is not None
        return self._connection.forwarder if is_up and self._connection is not None else None

    @property
    def pids(self) -> set[int]:
        """The processes that run for this server now."""
        own = 0 if self._connection is None else self._connection.pid
        return {own, *self.pool.pids} - {0}

    @property
    def busy(self) -> bool:
        """Whether calls of clients are under way or wait; some requests of our own never end."""
        own = self._connection is not None and self._connection.session.serving
        return own or self.pool.busy or len(self._waiting) > 0

    def _member(self, features: Feature) -> ChannelMember:
        return ChannelMember(self.server, self._client, features, self._tasks)

    def _unreachable(self) -> BackendUnreachable:
        return BackendUnreachable(
            f"server {self.server.id} is {self.status.state}",
            hint=f"see `only1mcp status` and the log lines of server={self.server.id}",
            detail=self.status.detail,
        )

    async def _run(self) -> None:
        while True:
            if self._policy.failures < HOPELESS:  # else it is down until it answers
                self._set_state(ServerState.STARTING)
            try:
                await self._live()
            except BackendLost:
                pass  # it ended, and the connection has said why
            except Only1MCPError as error:
                self.status.detail = error.for_operator()
            except Exception as error:  # noqa: BLE001 - a mistake of ours costs one server, not its watcher
                _log.exception("a server's watcher failed", extra={"server": self.server.id})
                self.status.detail = f"internal error: {error!r}"
            wait_s = self._policy.ended(time.monotonic())
            parked = self._policy.parked
            if wait_s:
                self._set_state(ServerState.PARKED if parked else ServerState.DOWN)
                self._waiting.fail(self._unreachable())
            _log.warning(
                "server ended; next start in %g s%s", wait_s, " (parked)" if parked else "",
                extra={"server": self.server.id, "detail": self.status.detail},
            )  # fmt: skip
            await asyncio.sleep(wait_s)
            self.status.restarts += 1

    async def _live(self) -> None:
        """Carry one connection from its opening to its end."""
        connection = Connection(self.server, self._client, self._on_notification)
        self._connection = connection
        try:
            hello = self._hello = await self._meet(connection)
            self.status.pid = connection.pid
            if self._level is not None:
                connection.session.lower_level(self._level)
            await self._list_again(self._relisting.take())
            self._policy.started(time.monotonic())
            self._set_state(ServerState.UP)
            self._waiting.send(connection.session.call)
            await self._attend(connection, hello)
            raise BackendLost(connection.reason or "the connection ended")
        finally:
            self.status.detail = connection.reason or self.status.detail
            await connection.close(orderly=self._stopping)
            self._connection = None
            self.status.detail = connection.reason or self.status.detail
            self.status.pid = 0

    async def _meet(self, connection: Connection) -> Hello:
        """Shake hands; a server that cannot stand the probe is spared it the next time.

        One that then speaks no legacy revision either was only slow: it gets the probe again, and
        more time.
        """
        try:
            return await connection.open(self._patience_s, probe=self._probe)
        except (BackendLost, BackendTimeout):
            self._patience_s = SLOW_START * self.server.handshake_timeout_s
            self._probe = not self._probe
            raise
        except BackendProtocolError:
            self._probe = True
            raise

    async def _attend(self, connection: Connection, hello: Hello) -> None:
        """Listen to the server while the connection lives."""
        asker = PipeAsker(connection.session, self.server.handshake_timeout_s)
        self.feed = Feed(self._hearing, connection.session, asker, hello)
        listening = self._tasks.spawn(self.feed.run())
        tasks_heard = self._tasks.spawn(self.task_watches.listen(connection.session, asker, hello))
        check = HealthCheck(self.server, connection.session, hello.era, self._take_verdict)
        checking = self._tasks.spawn(check.run())
        self._relisting.start()
        try:
            await connection.ended()
        finally:
            self.feed = None
            listening.cancel()
            tasks_heard.cancel()
            checking.cancel()

    def _take_verdict(self, why: str) -> None:
        """Fail calls at once while the server hangs; those under way may still be answered."""
        self.status.detail = why
        self._set_state(ServerState.DOWN if why else ServerState.UP)
        told = "server hangs: %s" if why else "server answers again%s"
        _log.warning(told, why, extra={"server": self.server.id})

    async def _list_again(self, kinds: frozenset[str]) -> None:
        connection, hello = self._connection, self._hello
        if connection is None or hello is None:
            return
        asker = PipeAsker(connection.session, self.server.handshake_timeout_s)
        catalogue = await discover_catalogue(self.server.id, hello, asker)
        self.status.note(catalogue)
        self._observer.on_catalogue(catalogue, kinds)

    def _on_notification(self, message: Envelope) -> None:
        self.task_watches.heard(message)
        if self.feed is not None:
            self.feed.heard(message)
        elif (message.method or "").endswith("/list_changed"):
            self._relisting.note(message.method or "")

    def _set_state(self, state: ServerState) -> None:
        self.status.state = state
        if state is ServerState.UP:
            self.status.detail = ""
        self._observer.on_status(self.status)
