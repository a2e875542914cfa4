"""One server on a channel (a stdio child, a WebSocket, HTTP+SSE): its processes, and its calls.

A program may run as several processes. One of them speaks for all: its lists are the server's, and
are read again when any of them says that lists have changed. What any of them says of resources,
of tasks, and for the log, is told; of a resource once, if several say it at about the same time.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import aiohttp

from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.host.channel_member import ChannelMember
from only1mcp.host.feed import Hearing
from only1mcp.host.joined import JoinedFeed, JoinedTaskWatches, JoinedWatches
from only1mcp.host.pool import Pool
from only1mcp.host.relisting import Relisting
from only1mcp.host.replica import Replica
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.watches import Watches
from only1mcp.host.weighing import Weighing
from only1mcp.memory.instances import Known, unshared
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import SUBSCRIBE, list_changed
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks, until

_log = logging.getLogger(__name__)
MAX_MEMBERS = 32
"""Connections of single clients, for which a stdio server starts a process each."""
TOGETHER_S = 0.1
"""Processes that say the same within this time mean the same."""
_LOOK_S = 0.02
_BEST_FIRST = (ServerState.UP, ServerState.STARTING, ServerState.DOWN, ServerState.PARKED)


class ChannelServer:
    """Owns the processes; clients that the server may ask something have others, in the pool."""

    def __init__(
        self, server: Server, observer: Observer, tasks: Tasks, client: aiohttp.ClientSession,
        know: Callable[[str, str], Known] = unshared,
    ) -> None:  # fmt: skip
        self.server = server
        self.status = ServerStatus(server.id, server.transport)
        self._observer = observer
        self._tasks = tasks
        self._client = client
        self._know = know
        self._replicas: list[Replica] = []
        self._leaving: set[Replica] = set()
        """Those that are to end once their calls have."""
        self._speaker: Replica | None = None
        self.level: int | None = None
        """The lowest severity from which on clients want log messages of no call of theirs."""
        self._updated: dict[str, bytes] = {}
        """Resources of which will be told that they were updated."""
        self._running: list[asyncio.Task[None]] | None = None
        self._relisting = Relisting(
            server.id, self._list_again, tasks, observer.on_lists_changed,
            delay_s=self._patience_s,
        )  # fmt: skip
        self.watches = JoinedWatches(lambda: [one.watches for one in self._replicas])
        self.task_watches = JoinedTaskWatches(lambda: [one.task_watches for one in self._replicas])
        self.pool = Pool(server.id, self._member, MAX_MEMBERS, tasks, observer)
        self._replicas.append(self._make())
        self._weighing = Weighing(
            lambda: self.server, lambda: [one.known for one in self._replicas]
        )  # fmt: skip
        self._scale()

    def _make(self) -> Replica:
        """Make one more process."""
        name = str(len(self._replicas) + 1)
        observer = replace(self._observer, on_updated=self._on_updated)
        hearing = Hearing(self.server.id, Watches(), observer, self._relisting, self._tasks)
        return Replica(self, name, hearing, self._know(self.server.id, name), self._client)

    def follow(self, server: Server) -> None:
        """Go by another declaration of the same server from now on."""
        self.server = server
        self._scale()
        self._weighing.publish()

    def _scale(self) -> None:
        """Run as many processes as are wanted now; those that stay notice nothing."""
        while len(self._replicas) < self.server.replicas:
            made = self._make()
            made.watches.inherit(self.watches.everything)
            self._replicas.append(made)
            if self._running is not None:
                made.start()
        while len(self._replicas) > self.server.replicas:
            leaving = self._replicas.pop()
            leaving.retire()
            self._leaving.add(leaving)
            self._tasks.spawn(self._end(leaving))
        if self._running is not None:
            self._note()

    async def _end(self, leaving: Replica) -> None:
        """Stop a process that is not wanted any more, after its calls."""
        await until(lambda: not leaving.busy, self.server.timeout_s, _LOOK_S)
        await leaving.stop()
        self._leaving.discard(leaving)

    def start(self) -> None:
        """Begin; returns at once."""
        self._running = [self._tasks.spawn(self._weighing.run())]
        for one in self._replicas:
            one.start()

    async def stop(self) -> None:
        """End all connections properly."""
        for task in self._running or ():
            task.cancel()
        all_of_them = (*self._replicas, *self._leaving)
        await asyncio.gather(self.pool.close(), *(one.stop() for one in all_of_them))

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request, or have it wait for a process that starts."""
        if outgoing.features or outgoing.own:
            return self.pool.call(outgoing, sink)
        replica = self._at(outgoing.place)
        if replica is None:
            sink.on_failure(BackendUnreachable(
                f"server {self.server.id} has no process {outgoing.place} any more"
            ))  # fmt: skip
            return lambda: None
        return replica.call(outgoing, sink)

    def _at(self, name: str) -> Replica | None:
        """Return the process of this number; without a number, the one that can serve best."""
        if name:
            return next((one for one in self._replicas if one.name == name), None)
        return min(self._replicas, key=lambda one: one.state is not ServerState.UP)

    def forwarder(self, number: int) -> Any:
        """Return what takes plain calls from the workers' fast lanes now; None when nothing does.

        Args:
            number: of the process; 0 for any.
        """
        replica = self._at(str(number or ""))
        return None if replica is None else replica.forwarder

    async def lower_level(self, level: int) -> None:
        """Have the server log from this severity on, now and after it was started again."""
        self.level = level if self.level is None else min(level, self.level)
        for one in self._replicas:
            one.lower_level()

    async def watch(self, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer.

        Raises:
            BackendError: the server is down, or refuses.
        """
        feed = self.feed
        if feed is None:
            raise BackendUnreachable(
                f"server {self.server.id} is {self.status.state}",
                hint=f"see `only1mcp status` and the log lines of server={self.server.id}",
                detail=self.status.detail,
            )
        change = feed.subscribe if method == SUBSCRIBE else feed.unsubscribe
        await change(uri, holder)

    @property
    def feed(self) -> JoinedFeed | None:
        """What listens; None while the server is down."""
        feeds = [(one.feed, one.watches) for one in self._replicas if one.feed is not None]
        away = [one.watches for one in self._replicas if one.feed is None]
        return JoinedFeed(feeds, away, self._tasks) if feeds else None

    @property
    def pids(self) -> set[int]:
        """The processes that run for this server now."""
        own = {one.running_pid for one in (*self._replicas, *self._leaving)}
        return (own | self.pool.pids) - {0}

    @property
    def busy(self) -> bool:
        """Whether calls of clients are under way or wait."""
        return self.pool.busy or any(one.busy for one in (*self._replicas, *self._leaving))

    def _member(self, features: Feature) -> ChannelMember:
        return ChannelMember(self.server, self._client, features, self._tasks)

    def on_listed(self, replica: Replica, catalogue: Catalogue, kinds: frozenset[str]) -> None:
        """Take what a process offers, if it speaks for all."""
        if self._speaker not in self._replicas or self._speaker.state is not ServerState.UP:
            self._speaker = replica
        if replica is self._speaker:
            self.status.note(catalogue)
            self._observer.on_catalogue(catalogue, kinds)
            return
        for kind in kinds:
            self._relisting.note(list_changed(kind))
        self._relisting.start()

    async def _list_again(self, kinds: frozenset[str]) -> None:
        if self._speaker is not None:
            await self._speaker.list_again(kinds)

    async def _speak(self, replica: Replica) -> None:
        """Have another process speak for the server from now on."""
        try:
            await replica.list_again(frozenset())
        except Only1MCPError as error:
            _log.debug("not listed: %s", error, extra={"server": self.server.id})

    def _patience_s(self) -> float:
        return TOGETHER_S if len(self._replicas) > 1 else 0.0

    def _on_updated(self, server_id: str, uri: str, params: bytes) -> None:
        """Tell of a resource; wait for what the other processes say of it, if there are any."""
        if len(self._replicas) == 1:
            self._observer.on_updated(server_id, uri, params)
            return
        self._observer.on_outdated(server_id, uri)
        if not self._updated:
            asyncio.get_running_loop().call_later(TOGETHER_S, self._tell_updated)
        self._updated[uri] = params

    def _tell_updated(self) -> None:
        updated, self._updated = self._updated, {}
        for uri, params in updated.items():
            self._observer.on_updated(self.server.id, uri, params)

    def on_turn(self, replica: Replica) -> None:
        """Tell of the server when the state of a process has changed."""
        if replica not in self._replicas:
            return
        if replica is self._speaker and replica.state is not ServerState.UP:
            others = (one for one in self._replicas if one.state is ServerState.UP)
            following = next(others, None)
            if following is not None:
                self._speaker = following
                self._tasks.spawn(self._speak(following))
        self._note()

    def _note(self) -> None:
        """Sum up how the processes are."""
        status, all_of_them = self.status, self._replicas
        states = {one.state for one in all_of_them}
        status.state = next((s for s in _BEST_FIRST if s in states), ServerState.STOPPED)
        starting = [one for one in all_of_them if one.state is ServerState.STARTING]
        status.is_late = bool(starting) and all(one.is_late for one in starting)
        status.pid = next((one.pid for one in all_of_them if one.pid), 0)
        status.restarts = sum(one.restarts for one in all_of_them)
        status.next_start = min(
            (one.next_start for one in all_of_them if one.next_start), default=0.0
        )
        worse = [one for one in all_of_them if one.state is not ServerState.UP]
        status.detail = all_of_them[0].detail
        status.replicas, status.down = {}, {}
        if len(all_of_them) > 1:
            status.detail = "; ".join(_described(one) for one in worse)
            status.replicas = {
                one.name: {"pid": one.pid, "state": one.state.value, "restarts": one.restarts,
                           "next_start": one.next_start}
                for one in all_of_them
            }  # fmt: skip
            status.down = {one.name: one.detail or one.state.value for one in worse}
        self._observer.on_status(status)


def _described(replica: Replica) -> str:
    why = f": {replica.detail}" if replica.detail else ""
    return f"process {replica.name} is {replica.state}{why}"
