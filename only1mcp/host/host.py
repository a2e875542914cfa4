"""The host process: puts servers, links and the health board together."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from only1mcp._speedups import COMPILED, Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink, Respond
from only1mcp.config.settings import Settings
from only1mcp.errors import BackendUnreachable
from only1mcp.health.board import HOST
from only1mcp.health.manager import HealthReporter
from only1mcp.host.asides import Asides
from only1mcp.host.bequest import Bequest
from only1mcp.host.channel_server import ChannelServer
from only1mcp.host.lane import MAX_SLOTS, LaneDesk
from only1mcp.host.lessons import Lessons
from only1mcp.host.link_sink import LinkSink
from only1mcp.host.member import Member
from only1mcp.host.notes import Notes
from only1mcp.host.orphans import kill_descendants, reap_orphans
from only1mcp.host.own_lists import OwnLists
from only1mcp.host.roster import Roster
from only1mcp.host.session_desk import SessionDesk
from only1mcp.host.session_watches import SessionWatches
from only1mcp.host.staleness import Staleness
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.variants import Variants
from only1mcp.host.watching import Watching
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from only1mcp.links.wire import SESSION, STREAM, TOOLS, CallFrame, decode_numbered
from only1mcp.memory.cache_epochs import CacheEpochs
from only1mcp.memory.ended_sessions import EndedSessions
from only1mcp.memory.instances import InstanceTable
from only1mcp.memory.message_ids import MessageIds
from only1mcp.memory.processes import worker_indices, workers_follow
from only1mcp.process import prctl
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import SUBSCRIPTIONS
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks, until
from only1mcp.transports.streamable_http import make_client

_log = logging.getLogger(__name__)
CONFIRM_S = 5.0
"""How long clients are not told of a change for the sake of a worker that does not know it yet."""
_LOOK_S = 0.002
_GONE_S = 0.1
"""Until we have noticed that the workers ended before us; what they use is not ended."""


class Host:
    """Owns the servers; serves the workers' calls to the stdio ones, tells them of all."""

    def __init__(self, context: Context, reporter: HealthReporter) -> None:
        self._metrics, self._reporter = context.metrics, reporter
        self._tasks = Tasks()
        self._client = make_client()
        self._links: set[Link] = set()
        self._under_way: dict[tuple[Link, int], Cancel] = {}
        self._known: dict[str, Catalogue] = {}
        self._unsettled: set[str] = set()
        self._settled = asyncio.Event()
        """Set once each server has answered or failed."""
        self._asked: dict[tuple[Link, int], dict[int, Respond]] = {}
        """Questions of servers that callers are yet to answer, by their number."""
        self._variants = Variants(self._on_variant)
        memory, lock = context.shared.memory, context.shared.ended_lock
        self._staleness = Staleness(
            CacheEpochs(memory, lock), lambda: self._index, self._watched
        )  # fmt: skip
        self.desk = SessionDesk(MessageIds(memory, lock).take, self._links, self._tasks)
        self._roster = Roster(
            self._make_observer(), self._tasks, self._client,
            InstanceTable(memory, lock).known, self.desk,
        )  # fmt: skip
        self._own_lists = OwnLists(
            self._roster, self._variants, self._known, self._on_said, self._tasks
        )
        self._watching = Watching(
            self._roster, self._tasks, self._links.__contains__, self._on_updated
        )
        self.sessions = SessionWatches(
            self._watching, self._links, self._tasks, EndedSessions(memory, lock).__contains__
        )
        self._lessons = Lessons(
            self._roster, self._variants, self._known, self._settled, self._tasks
        )
        self._notes = Notes(
            self._roster, self.desk, self.sessions, self._lessons, self._watching,
            Asides(self._roster, self._watched, self._on_updated), self._tasks,
        )  # fmt: skip
        self._settings = context.shared.settings
        self._confirmed = partial(workers_follow, context.shared.memory)
        self._index = self._settings.slot_of
        self._restarts: dict[str, int] = {}
        self._new = self._roster.follow(self._settings.servers, lambda: True)
        self._unsettled.update(self._index)
        self.lane = LaneDesk(self._forwarder)
        if not self._unsettled:
            self._settled.set()

    def _make_observer(self) -> Observer:
        return Observer(
            self._on_status, self._on_catalogue, self._on_updated, self._on_logged, self._on_task,
            self._on_said, self._staleness.lists_changed, self._staleness.updated,
            self._on_updated_for, self._on_own_lists,
        )  # fmt: skip

    def start(self) -> None:
        """Start all servers, at the same time."""
        for server in self._new:
            server.start()
            server.pool.resume()
        self.sessions.starts = False
        self._new = []

    def follow(self, settings: Settings) -> None:
        """Hold other servers from now on; clients hear of it once all workers know."""
        old, self._settings = self._settings, settings
        self._index = settings.slot_of
        self.lane.forget()
        changed = self._changes(old)
        confirmed = partial(self._confirmed, settings.number)
        self._new = self._roster.follow(settings.servers, confirmed)
        for made in self._new:
            self._restarts.pop(made.server.id, None)
            self._lessons.prepare(made)
        for server_id in {server.id for server in old.servers} - self._index.keys():
            self._known.pop(server_id, None)
            self._variants.forget(server_id)
            self._settle(server_id)
        self.start()
        if changed:
            self._tasks.spawn(self._tell_changed(changed, confirmed))

    def _changes(self, old: Settings) -> frozenset[str]:
        """Return the kinds of lists that differ at once, before any new server has answered."""
        before = {server.id: server.prefix for server in old.servers}
        after = {server.id: server.prefix for server in self._settings.servers}
        moved = [key for key in before if key in after] != [key for key in after if key in before]
        gone = [
            known for key, known in self._known.items()
            if moved or after.get(key) != before.get(key)
        ]  # fmt: skip
        return frozenset().union(*(known.differs(Catalogue(known.server_id)) for known in gone))

    async def _tell_changed(self, kinds: frozenset[str], confirmed: Callable[[], bool]) -> None:
        await until(confirmed, CONFIRM_S, _LOOK_S)
        self._broadcast(orjson.dumps({"changed": sorted(kinds)}))

    async def stop(self) -> None:
        """End all servers properly, at the same time."""
        await until(lambda: not self._links, _GONE_S, _LOOK_S)
        await asyncio.gather(*(server.stop() for server in self._roster.everyone))
        await self._tasks.cancel_all()
        await self._client.close()

    def child_pids(self) -> set[int]:
        """Return the pids of the children that run now."""
        return {pid for server in self._roster.everyone for pid in server.pids}

    def link(self) -> Link:
        """Make our end of a new link; the worker hears what is known as soon as it is open."""
        link = Link(self._on_frame, self._on_close, self._greet)
        self._links.add(link)
        return link

    def _greet(self, link: Link) -> None:
        self.desk.greet(link)
        self.sessions.greet(link)
        for catalogue in self._known.values():
            link.send(Kind.EVENT, 0, _catalogue_event(catalogue))
        for (features, _), catalogue in self._variants.known.items():
            link.send(Kind.EVENT, 0, _variant_event(features, catalogue))
        if not self._unsettled:
            link.send(Kind.EVENT, 0, b'{"settled":true}')

    def _on_close(self, link: Link) -> None:
        self._links.discard(link)
        for owner, token in list(self._under_way):
            if owner is link:
                cancel = self._under_way[owner, token]
                self._forget(owner, token)
                cancel()
        self._watching.link_closed(link)
        self.desk.link_closed(link)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        if kind is Kind.CANCEL:
            cancel = self._under_way.get((link, token))
            self._forget(link, token)
            if cancel is not None:
                cancel()
        elif kind is Kind.CALL:
            self._call(link, token, CallFrame.decode(payload))
        elif kind is Kind.RESPOND:
            number, member = decode_numbered(payload)
            respond = self._asked.get((link, token), {}).pop(number, None)
            if respond is not None:
                respond(member)
        elif kind is Kind.NOTE:
            self._notes.take(link, orjson.loads(payload))

    def _call(self, link: Link, token: int, frame: CallFrame) -> None:
        if frame.method == TOOLS:
            names = self._variants.tool_names(self._known.get(frame.server_id))
            link.send(Kind.REPLY, token, orjson.dumps(names))
            return
        server = self._roster.get(frame.server_id)
        questions: dict[int, Respond] = {}
        self._asked[link, token] = questions
        answer: ReplySink = LinkSink(self._forget, link, token, questions)
        if frame.method == SESSION:
            self._under_way[link, token] = _nothing
            self._tasks.spawn(self.desk.serve(frame.params, answer))
            return
        if frame.method == STREAM:
            opened = self._roster.streams.open(frame.session, answer)
            self._under_way[link, token] = opened
            return
        if server is not None and frame.method in SUBSCRIPTIONS:
            if self._watching.refuses(frame, answer):
                return
            answer = self.sessions.noting(frame, answer)
            if not frame.features:  # who can be asked watches on a connection of its own
                self._under_way[link, token] = _nothing
                self._tasks.spawn(self._watching.subscribe(frame, answer))
                return
        if server is None:
            answer.on_failure(BackendUnreachable(f"server {frame.server_id} is not run here"))
            return
        outgoing = Outgoing(
            frame.method, frame.params, Era(frame.era), features=Feature(frame.features),
            session=frame.session, level=frame.level, own=frame.own,
            token=None if frame.token is None else frame.token.encode(), place=frame.place,
            principal=frame.principal,
        )  # fmt: skip
        self._under_way[link, token] = _nothing
        cancel = server.call(outgoing, answer)
        if (link, token) in self._under_way:
            self._under_way[link, token] = cancel

    def _forget(self, link: Link, token: int) -> None:
        self._under_way.pop((link, token), None)
        self._asked.pop((link, token), None)

    def _on_catalogue(self, catalogue: Catalogue, kinds: frozenset[str]) -> None:
        """Take what a server offers; workers get it before their clients hear of the change."""
        known = self._known.get(catalogue.server_id)
        self._metrics.tools(self._index[catalogue.server_id], len(catalogue.tools))
        if known != catalogue:
            self._staleness.lists_changed(catalogue.server_id)
            self._known[catalogue.server_id] = catalogue
            self._broadcast(_catalogue_event(catalogue))
        differs = catalogue.differs(known) if known is not None else frozenset()
        server = self._roster.current(catalogue.server_id)
        is_new = bool(kinds | differs) or known is None
        if is_new and catalogue.is_legacy and server is not None:
            self._tasks.spawn(self._variants.relearn(server))
        if kinds - differs:  # of differences the workers tell, each of what it has shown
            event = {"changed": sorted(kinds - differs), "server": catalogue.server_id}
            self._broadcast(orjson.dumps(event))

    def _on_variant(self, features: Feature, catalogue: Catalogue) -> None:
        self._broadcast(_variant_event(features, catalogue))

    def _watched(self, server_id: str) -> list[str]:
        """Return the resources of a server that clients watch."""
        server = self._roster.current(server_id)
        return [] if server is None else [*server.watches.uris, *server.pool.watches.all]

    def _on_updated(self, server_id: str, uri: str, params: bytes) -> None:
        self._staleness.updated(server_id, uri)
        server = self._roster.current(server_id)
        holders = server.watches.holders(uri) if server is not None else set()
        serials = [holder for holder in holders if isinstance(holder, int)]
        event = {
            "updated": uri, "params": params.decode(), "sessions": serials, "server": server_id,
        }  # fmt: skip
        self._broadcast(orjson.dumps(event))

    def _on_updated_for(
        self, server_id: str, caller: tuple[str, int], uri: str, params: bytes
    ) -> None:
        self._staleness.updated(server_id, uri)
        event = {
            "updated": uri, "params": params.decode(), "sessions": [], "server": server_id,
            "caller": caller,
        }  # fmt: skip
        self._broadcast(orjson.dumps(event))

    def _on_logged(self, server_id: str, params: bytes) -> None:
        self._broadcast(orjson.dumps({"logged": params.decode(), "server": server_id}))

    def _on_task(self, server_id: str, task_id: str, params: bytes) -> None:
        self._broadcast(orjson.dumps({"task": [server_id, task_id], "params": params.decode()}))

    def _on_said(self, server_id: str, serial: int, message: Envelope) -> None:
        self._staleness.said(server_id, message)
        event = {"said": [server_id, serial], "message": message.body.decode()}
        self._broadcast(orjson.dumps(event))

    def _on_own_lists(self, server_id: str, serial: int, member: Member, message: Envelope) -> None:
        self._staleness.said(server_id, message)
        self._own_lists.heard(server_id, serial, member, message)

    def _on_status(self, status: ServerStatus) -> None:
        if status.restarts > self._restarts.get(status.id, 0):
            self._restarts[status.id] = status.restarts
            self._metrics.restart(self._index[status.id])
        is_starting = status.state is ServerState.STARTING
        if is_starting and self._roster.is_succeeding(status.id):
            return  # its predecessor serves
        self._reporter.say(status.id, status.to_plain())
        self.lane.forget()
        if not is_starting or status.is_late:
            self._settle(status.id)

    def _settle(self, server_id: str) -> None:
        """Note that a server has answered or failed for the first time, or is not waited for."""
        if server_id in self._unsettled:
            self._unsettled.discard(server_id)
            if not self._unsettled:
                self._settled.set()
                self._broadcast(b'{"settled":true}')

    def _forwarder(self, address: int) -> Any:
        """Return what takes plain calls for a server's process now; None when nothing does."""
        number, slot = divmod(address, MAX_SLOTS)
        server_id = next((key for key, value in self._index.items() if value == slot), "")
        server = self._roster.get(server_id)
        return server.forwarder(number) if isinstance(server, ChannelServer) else None

    def _broadcast(self, event: bytes) -> None:
        for link in self._links:
            link.send(Kind.EVENT, 0, event)


def _nothing() -> None:
    """There is nothing to cancel yet."""


def _variant_event(features: Feature, catalogue: Catalogue) -> bytes:
    return orjson.dumps({"variant": int(features), "catalogue": catalogue.to_plain()})


def _catalogue_event(catalogue: Catalogue) -> bytes:
    return orjson.dumps({"catalogue": catalogue.to_plain()})


async def serve_host(context: Context, lifecycle: Lifecycle) -> None:
    """Be the host until told to stop."""
    shared = context.shared
    prctl.adopt_orphans()
    reporter = HealthReporter(HOST, shared.runtime_dir.board_socket, shared.board_key)
    host = Host(context, reporter)
    reporter.start()
    links = await serve(shared.runtime_dir.host_socket, host.link)
    heirs = await serve(shared.runtime_dir.heir_socket, host.sessions.heir)
    lanes = await serve(shared.runtime_dir.lane_socket, host.lane.line) if COMPILED else None
    if context.row.starts > 1:
        await host.desk.hear_of_the_last(partial(worker_indices, shared.memory))
    if shared.predecessor is not None:
        await Bequest(host.sessions.inherit).accept(shared.predecessor.heir_socket)
    host.start()
    reaping = Tasks()
    reaping.spawn(reap_orphans(host.child_pids))
    lifecycle.ready(host.follow)
    await lifecycle.stopping.wait()
    links.close()
    heirs.close()
    if lanes is not None:
        lanes.close()
    if not lifecycle.orphaned:
        await host.stop()
    await reaping.cancel_all()
    kill_descendants()
