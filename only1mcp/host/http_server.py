"""One HTTP server as the host sees it: probed, listed, and checked from then on."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

import aiohttp

from only1mcp._speedups import Balancer
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.discovery import Asker, Deadline, discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.backends.http_session import HttpSession
from only1mcp.backends.keeper import Keeper, alone
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.host.feed import Feed, Hearing
from only1mcp.host.http_member import HttpMember
from only1mcp.host.instance_checks import InstanceCheck, InstanceChecks
from only1mcp.host.pool import Pool
from only1mcp.host.relisting import Relist, Relisting
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.task_feed import TaskWatches
from only1mcp.host.watches import Watches
from only1mcp.memory.instances import Known, unshared
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import SUBSCRIBE
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.routing.load_balancer import make_balancer
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
MAX_MEMBERS = 1000
_FIRST_RETRY_S = 0.25
_LIST_EVERY = 6
"""Every so many checks the lists are read again: not every server says when they change."""


class HttpServer:
    """Learns what the server offers and says whether it is up; calls go from the workers."""

    def __init__(
        self, server: Server, observer: Observer, tasks: Tasks, client: aiohttp.ClientSession,
        know: Callable[[str, str], Known] = unshared,
        keep: Callable[[Server, str], Keeper] = alone,
    ) -> None:  # fmt: skip
        self.server = server
        self.status = ServerStatus(server.id, server.transport)
        self._observer = observer
        self._tasks = tasks
        self._client = client
        self._sessions = [
            open_session(server, client, tasks, place.url, keeper=keep(server, place.url))
            for place in server.instances
        ]
        self._known = [know(server.id, place.url) for place in server.instances]
        self._checks = InstanceChecks(
            lambda: self.server, self._sessions, self._known, self._note_instances
        )
        self._turned = asyncio.Event()
        """Set when an instance goes, or is back."""
        self._instances = _in_turn(server, self._known)
        """Where the sessions of single clients begin; each then stays where it is."""
        self.pool = Pool(server.id, self._member, MAX_MEMBERS, tasks, observer)
        self.both_eras = False
        """Whether to find out if a modern server speaks a legacy revision too."""
        self._session: HttpSession | None = None
        self._left: HttpSession | None = None
        """Who spoke for the server last, if that came to a bad end."""
        self._retry_s = _FIRST_RETRY_S
        self._hello: Hello | None = None
        self._catalogue: Catalogue | None = None
        self._listening: list[asyncio.Task[None]] = []
        self._loop_task: asyncio.Task[None] | None = None
        self._relist: Relist | None = None
        self._relisting = Relisting(server.id, self._list_again, tasks, observer.on_lists_changed)
        self.watches = Watches()
        self._hearing = Hearing(server.id, self.watches, observer, self._relisting, tasks)
        self.feed: Feed | None = None
        """None while the server is down."""
        self.task_watches = TaskWatches(self._hearing)

    def start(self) -> None:
        """Begin; returns at once."""
        self._loop_task = self._tasks.spawn(self._run())
        self._checks.start(self._tasks)

    def follow(self, server: Server) -> None:
        """Go by another declaration of the same server from now on."""
        self.server = server
        self._checks.weighing.publish()

    async def stop(self) -> None:
        """End the sessions with the server."""
        if self._loop_task is not None:
            self._loop_task.cancel()
        self._checks.stop()
        await asyncio.gather(self.pool.close(), *(session.close() for session in self._sessions))
        self._set_state(ServerState.STOPPED)

    @property
    def sessions(self) -> list[HttpSession]:
        """Our standing with each instance."""
        return self._sessions

    async def lower_level(self, level: int) -> None:
        """Have all instances log from this severity on."""
        wanted = (session.lower_level(level) for session in self._sessions)
        await asyncio.gather(*wanted, return_exceptions=True)

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request of a client that the server may ask something."""
        return self.pool.call(outgoing, sink)

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return self.pool.busy

    @property
    def pids(self) -> set[int]:
        """It runs elsewhere."""
        return set()

    async def learn_both_eras(self) -> None:
        """Find out whether the server speaks both eras, now and from now on."""
        self.both_eras = True
        session, hello, catalogue = self._session, self._hello, self._catalogue
        if session is None or hello is None or hello.era is Era.LEGACY or catalogue is None:
            return
        try:
            await session.hello()
        except Only1MCPError as error:
            _log.debug("no legacy revision: %s", error, extra={"server": self.server.id})
            return
        self._hello = hello.also(Era.LEGACY)
        self._take(replace(catalogue, eras=self._hello.eras), frozenset())
        if self._session is session:
            self._listen(self._legacy_feeds(self._hello))

    def _member(self, features: Feature) -> HttpMember:
        first = max(self._instances.pick(0, False, 0), 0)
        return HttpMember(self.server, self._client, features, self._tasks, first)

    async def watch(self, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer.

        Raises:
            BackendError: the server is down, or refuses.
        """
        if self.feed is None:
            raise BackendUnreachable(f"server {self.server.id} is {self.status.state}")
        change = self.feed.subscribe if method == SUBSCRIBE else self.feed.unsubscribe
        await change(uri, holder)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            session, began = None, loop.time()
            try:
                session, hello = await self._meet()
                began = loop.time()
                await self._attend(session, hello)
            except Exception as error:  # noqa: BLE001 - a mistake of ours costs a try, not the watcher
                self._note_end(error)
                self._left = session
            await self._rest(loop.time() - began)

    def _note_end(self, error: Exception) -> None:
        """Say why there is nobody to listen to, if nobody else speaks for the server."""
        if isinstance(error, Only1MCPError):
            why = error.for_operator()
        else:
            _log.exception("a watcher failed", extra={"server": self.server.id})
            why = f"internal error: {error!r}"
        if self._lives_elsewhere():
            return
        self.status.detail = why
        if self.status.state is not ServerState.DOWN:
            _log.warning("server is down: %s", why, extra={"server": self.server.id})
        self._set_state(ServerState.DOWN)

    async def _rest(self, lasted_s: float) -> None:
        """Wait before the next try, the longer the more of them came to an early end."""
        if lasted_s >= self.server.check_interval_s:
            self._retry_s = _FIRST_RETRY_S
            if self._lives_elsewhere():
                return
        await asyncio.sleep(self._retry_s)
        self._retry_s = min(self._retry_s * 2, self.server.check_interval_s)

    def _lives_elsewhere(self) -> bool:
        """Say whether another instance can speak for the server from now on."""
        return len(self._sessions) > 1 and any(
            check.verdict.is_up and not check.is_failing for check in self._checks.checks
        )

    def _note_instances(self) -> None:
        """Tell of instances that went, or are back."""
        self._turned.set()
        down = self._checks.down()
        if down != self.status.down:
            self.status.down = down
            self._observer.on_status(self.status)

    async def _meet(self) -> tuple[HttpSession, Hello]:
        """Probe the instances; the first that answers speaks for the server.

        Those that fail their checks come last: they may know how to greet, and nothing else.
        """
        failing = {check.session for check in self._checks.checks if check.is_failing}
        in_turn = sorted(self._sessions, key=lambda one: (one in failing, one is self._left))
        for number, session in enumerate(in_turn, start=1):
            try:
                return session, await session.probe(both=self.both_eras)
            except Only1MCPError:
                if number == len(self._sessions):
                    raise
        raise AssertionError("a server has at least one instance")

    async def _attend(self, session: HttpSession, hello: Hello) -> None:
        """Listen to the server while it is up."""
        asker = Deadline(session, self.server.handshake_timeout_s)
        self._session = session
        self.feed = Feed(self._hearing, session, asker, hello)
        self.feed.beside = [
            self._feed(self._hearing, one, hello) for one in self._sessions if one is not session
        ]
        self._hello = hello
        self._relist = partial(self._list, asker)
        self._listen([self.feed, *self.feed.beside, *self._legacy_feeds(hello)])
        tasks_heard = self._tasks.spawn(self.task_watches.listen(session, asker, hello))
        try:
            await self.feed.settled()
            await self._watch(session)
        finally:
            self.feed = self._relist = self._session = None
            for task in (*self._listening, tasks_heard):
                task.cancel()
            self._listening.clear()

    def _listen(self, feeds: list[Feed]) -> None:
        self._listening += [self._tasks.spawn(feed.run()) for feed in feeds]

    def _feed(self, hearing: Hearing, session: HttpSession, hello: Hello) -> Feed:
        asker = Deadline(session, self.server.handshake_timeout_s)
        return Feed(hearing, session, asker, hello, is_late=True)

    def _legacy_feeds(self, hello: Hello) -> list[Feed]:
        """Return what listens to a server of both eras beside: legacy sessions have a stream each.

        What is watched there is watched the modern way.
        """
        if hello.eras != {Era.MODERN, Era.LEGACY}:
            return []
        hearing = replace(self._hearing, watches=Watches())
        hello = replace(hello, era=Era.LEGACY)
        return [self._feed(hearing, one, hello) for one in self._sessions]

    async def _list_again(self, kinds: frozenset[str]) -> None:
        if self._relist is not None:
            await self._relist(kinds)

    async def _watch(self, session: HttpSession) -> None:
        """Keep to an instance until the checks say that it is gone.

        Who hangs answers no list either: that is not waited for.
        """
        check = self._checks.checks[self._sessions.index(session)]
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._list_again_and_again())
                both.create_task(self._until_gone(check))
        except ExceptionGroup as ended:
            raise ended.exceptions[0] from None

    async def _until_gone(self, check: InstanceCheck) -> None:
        while check.verdict.is_up is not False or not check.why:
            self._turned.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.server.check_interval_s):
                    await self._turned.wait()
        raise BackendUnreachable(check.why)

    async def _list_again_and_again(self) -> None:
        """List, and say that the server is up; then list now and then.

        Raises:
            BackendError: it could not be listed the first time.
        """
        await self._relisting.read()
        if self.status.state is not ServerState.UP:
            self._set_state(ServerState.UP)
            _log.info("server is up", extra={"server": self.server.id})
        while True:
            await asyncio.sleep(_LIST_EVERY * self.server.check_interval_s)
            try:
                await self._relisting.read()
            except Only1MCPError as error:  # the checks find out whether it is gone
                _log.debug("not listed: %s", error, extra={"server": self.server.id})

    async def _list(self, asker: Asker, kinds: frozenset[str]) -> None:
        if self._hello is not None:
            self._take(await discover_catalogue(self.server.id, self._hello, asker), kinds)

    def _take(self, catalogue: Catalogue, kinds: frozenset[str]) -> None:
        self._catalogue = catalogue
        self.status.note(catalogue)
        self._observer.on_catalogue(catalogue, kinds)

    def _set_state(self, state: ServerState) -> None:
        self.status.state = state
        if state is ServerState.UP:
            self.status.detail = ""
        self._observer.on_status(self.status)


def _in_turn(server: Server, known: list[Known]) -> Balancer:
    """Return what chooses one instance after the other."""
    plain = replace(server, routing=replace(server.routing, algorithm="round_robin"))
    return make_balancer(plain, [one.gauge for one in known], os.urandom)
