"""One process of a server on a channel (a connection, where it runs elsewhere), kept alive."""

import asyncio
import logging
import time
from typing import Any, Protocol

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.discovery import discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.pipe_session import PipeAsker
from only1mcp.errors import (
    BackendLost,
    BackendUnreachable,
    Only1MCPError,
)
from only1mcp.host.connection import Connection
from only1mcp.host.feed import Feed, Hearing
from only1mcp.host.health_check import HealthCheck
from only1mcp.host.manner import Manner
from only1mcp.host.second_chance import SecondChance
from only1mcp.host.status import ServerState
from only1mcp.host.task_feed import TaskWatches
from only1mcp.host.waiting_room import WaitingRoom
from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import HEALTH, Known, loose
from only1mcp.protocol.subscriptions import LIST_CHANGED
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.resilience.restart_policy import RestartPolicy

_log = logging.getLogger(__name__)
HOPELESS = 2
"""After so many ends in a row a process that is started again does not count as starting."""


class Owner(Protocol):
    """The server whose process it is."""

    @property
    def server(self) -> Server:
        """The declaration that holds now."""

    @property
    def level(self) -> int | None:
        """From which severity on it is to log; None as it likes."""

    def on_turn(self, replica: "Replica") -> None:
        """Learn that its state has changed."""

    def on_listed(self, replica: "Replica", catalogue: Catalogue, kinds: frozenset[str]) -> None:
        """Take what it offers, and the kinds of lists that it said have changed."""


class Replica:
    """Opens the channel, meets the server, serves calls on it, and opens it again when it ends.

    Calls that come while it starts wait for it; while it is down they fail at once.

    Args:
        owner: whose it is.
        name: its number.
        hearing: what to listen for, and whom to tell.
        known: what all processes know of it.
        client: for channels over the network.
    """

    def __init__(
        self, owner: Owner, name: str, hearing: Hearing, known: Known,
        client: aiohttp.ClientSession,
    ) -> None:  # fmt: skip
        self.name = name
        self.state = ServerState.STARTING
        self.detail = ""
        """Why it is not up."""
        self.pid = 0
        self.restarts = 0
        self.next_start = 0.0
        """When it is started again, while it waits for that; else 0."""
        self.watches = hearing.watches
        self.feed: Feed | None = None
        """None while it is down."""
        self.task_watches = TaskWatches(hearing)
        self.known = known
        self._owner = owner
        self._hearing = hearing
        self._client = client
        self._policy = RestartPolicy()
        self._chance = SecondChance(known, lambda: owner.server.breaker)
        self._connection: Connection | None = None
        self._waiting = WaitingRoom()
        self._manner = Manner()
        self.is_late = False
        """Whether it takes long to say its first."""
        self._hello: Hello | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._publish()

    def start(self) -> None:
        """Begin; returns at once."""
        self._loop_task = self._hearing.tasks.spawn(self._run())

    async def stop(self) -> None:
        """End it properly."""
        self._stopping = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
        self.next_start = 0.0
        self._set_state(ServerState.STOPPED)
        self._waiting.fail(self._unreachable())

    def retire(self) -> None:
        """Learn that another may come to be known by this number."""
        self.known.gauge.row[HEALTH] = Health.DOWN
        self.known = loose()

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request, or have it wait for a process that starts."""
        if self.state is ServerState.UP and self._connection is not None:
            return self._connection.session.call(outgoing, sink)
        if self.state is not ServerState.STARTING or self._waiting.full:
            sink.on_failure(self._unreachable())
            return lambda: None
        return self._waiting.enter(outgoing, sink)

    @property
    def forwarder(self) -> Any:
        """What takes plain calls from the workers' fast lanes now; None when nothing does."""
        is_up = self.state is ServerState.UP and self._connection is not None
        return self._connection.forwarder if is_up and self._connection is not None else None

    @property
    def running_pid(self) -> int:
        """The process that there is, be it up or not; 0 for none."""
        return 0 if self._connection is None else self._connection.pid

    @property
    def busy(self) -> bool:
        """Whether calls of clients are under way or wait; some requests of our own never end."""
        own = self._connection is not None and self._connection.session.serving
        return own or len(self._waiting) > 0

    def _unreachable(self) -> BackendUnreachable:
        server = self._owner.server
        process = f": process {self.name}" if server.replicas > 1 else ""
        return BackendUnreachable(
            f"server {server.id}{process} is {self.state}",
            hint=f"see `only1mcp status` and the log lines of server={server.id}",
            detail=self.detail,
        )

    async def _run(self) -> None:
        while True:
            if self._policy.failures < HOPELESS and not self._manner.was_silent:
                self._set_state(ServerState.STARTING)
            else:  # it is down until it answers
                self._owner.on_turn(self)
            try:
                await self._live()
            except BackendLost:
                pass  # it ended, and the connection has said why
            except Only1MCPError as error:
                self.detail = error.for_operator()
            except Exception as error:  # noqa: BLE001 - a mistake of ours costs one server, not its watcher
                _log.exception("a server's watcher failed", extra=self._labels)
                self.detail = f"internal error: {error!r}"
            now = time.monotonic()
            wait_s = self._policy.ended(now)
            parked = self._policy.parked
            if wait_s:
                self.next_start = now + wait_s
                self._set_state(ServerState.PARKED if parked else ServerState.DOWN)
                self._waiting.fail(self._unreachable())
            _log.warning(
                "server ended; next start in %g s%s", wait_s, " (parked)" if parked else "",
                extra={**self._labels, "detail": self.detail},
            )  # fmt: skip
            await asyncio.sleep(wait_s)
            self.next_start = 0.0
            self.restarts += 1

    async def _live(self) -> None:
        """Carry one connection from its opening to its end."""
        connection = Connection(self._owner.server, self._client, self._on_notification)
        self._connection = connection
        try:
            hello = self._hello = await self._meet(connection)
            self.pid = connection.pid
            self.lower_level()
            await self.list_again(self._hearing.relisting.take())
            if self.restarts:  # another process may answer otherwise
                self._hearing.observer.on_lists_changed(self._owner.server.id)
            self._policy.started(time.monotonic())
            self._set_state(ServerState.UP)
            self._chance.recover()  # what failed was the one before
            self._waiting.send(connection.session.call)
            await self._attend(connection, hello)
            raise BackendLost(connection.reason or "the connection ended")
        finally:
            self.known.gauge.row[HEALTH] = Health.DOWN
            self.detail = connection.reason or self.detail
            # An installer that is killed may leave what it cannot repair: SIGTERM comes first.
            await connection.close(orderly=self._stopping or self._manner.was_silent)
            self._connection = None
            self.detail = connection.reason or self.detail
            self.pid = 0

    def lower_level(self) -> None:
        """Have it log from the severity on that is wanted now."""
        if self._connection is not None and self._owner.level is not None:
            self._connection.session.lower_level(self._owner.level)

    async def _meet(self, connection: Connection) -> Hello:
        """Shake hands, in the manner that it has taught us."""
        timeout_s, manner = self._owner.server.handshake_timeout_s, self._manner
        slow = asyncio.get_running_loop().call_later(timeout_s, self._note_slow, timeout_s)
        try:
            hello = await connection.open(probe=manner.probe, is_slow=manner.is_slow)
        except Only1MCPError as error:
            manner.failed(error)
            raise
        finally:
            slow.cancel()
            self.is_late = False
        manner.met(ignores_probe=connection.session.ignores_probe)
        return hello

    def _note_slow(self, timeout_s: float) -> None:
        self.is_late = True
        self.detail = f"has said nothing for {timeout_s:g} s; it may be installing itself"
        _log.info("the server takes long to start", extra={**self._labels, "detail": self.detail})
        self._owner.on_turn(self)

    async def _attend(self, connection: Connection, hello: Hello) -> None:
        """Listen to the server while the connection lives."""
        session, spawn = connection.session, self._hearing.tasks.spawn
        asker = PipeAsker(session, self._owner.server.handshake_timeout_s)
        is_late = hello.era is Era.MODERN  # a legacy one tells without being asked
        self.feed = Feed(self._hearing, session, asker, hello, is_late=is_late)
        check = HealthCheck(
            lambda: self._owner.server, session, hello.era, self._take_verdict, self._chance
        )
        work = [
            spawn(self.feed.run()), spawn(self.task_watches.listen(session, asker, hello)),
            spawn(check.run()),
        ]  # fmt: skip
        self._hearing.relisting.start()
        try:
            await connection.ended()
        finally:
            self.feed = None
            for task in work:
                task.cancel()

    def _take_verdict(self, why: str) -> None:
        """Fail calls at once while the server hangs; those under way may still be answered."""
        self.detail = why
        self._set_state(ServerState.DOWN if why else ServerState.UP)
        told = "server hangs: %s" if why else "server answers again%s"
        _log.warning(told, why, extra=self._labels)

    async def list_again(self, kinds: frozenset[str]) -> None:
        """Read the lists.

        Raises:
            BackendError: they cannot be had.
        """
        connection, hello = self._connection, self._hello
        if connection is None or hello is None:
            return
        server = self._owner.server
        asker = PipeAsker(connection.session, server.handshake_timeout_s)
        self._owner.on_listed(self, await discover_catalogue(server.id, hello, asker), kinds)

    def _on_notification(self, message: Envelope) -> None:
        self.task_watches.heard(message)
        if self.feed is not None:
            self.feed.heard(message)
        elif (message.method or "").endswith(LIST_CHANGED):
            self._hearing.relisting.note(message.method or "")

    @property
    def _labels(self) -> dict[str, str]:
        """What stands in the log's lines."""
        server = self._owner.server
        return {"server": server.id, **({"instance": self.name} if server.replicas > 1 else {})}

    def _set_state(self, state: ServerState) -> None:
        self.state = state
        if state is ServerState.UP:
            self.detail = ""
        self._publish()
        self._owner.on_turn(self)

    def _publish(self) -> None:
        """Have workers send calls here, or elsewhere."""
        is_up = self.state is ServerState.UP
        self.known.gauge.row[HEALTH] = Health.UP if is_up else Health.DOWN
