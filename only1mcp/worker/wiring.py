"""Builds a worker's object graph from settings; nothing else constructs."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import aiohttp

from only1mcp._speedups import Cells, Lane, Lru
from only1mcp.auth.access import Access
from only1mcp.backends.call import Backend
from only1mcp.backends.host_link import HostLink, LinkedBackend
from only1mcp.backends.http_backend import HttpBackend
from only1mcp.backends.instances import Instances
from only1mcp.backends.line import Line
from only1mcp.backends.replicated import ReplicatedBackend
from only1mcp.config.settings import Settings
from only1mcp.health.manager import HealthReporter
from only1mcp.ingress import websocket_door
from only1mcp.ingress.channels import Channels
from only1mcp.ingress.guard import Connections, Guard
from only1mcp.ingress.held import Held
from only1mcp.ingress.http_door import HttpDoor
from only1mcp.ingress.http_parser import HttpServer
from only1mcp.ingress.origin import OriginCheck
from only1mcp.ingress.sse_door import SseDoor
from only1mcp.memory.cache_epochs import CacheEpochs
from only1mcp.memory.ended_sessions import EndedSessions
from only1mcp.memory.health_words import HealthWords
from only1mcp.memory.instances import InstanceTable
from only1mcp.memory.message_ids import MessageIds
from only1mcp.memory.processes import worker_indices
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.memory.told import Told
from only1mcp.observability.instance_metrics import InstanceMetrics
from only1mcp.observability.loop_metrics import LoopMetrics
from only1mcp.observability.metrics import MetricsReader
from only1mcp.process.context import Context
from only1mcp.process.instances import NamedInstances
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.cache import ResponseCache
from only1mcp.proxy.call import Means
from only1mcp.proxy.learning import Learning
from only1mcp.proxy.parking import Parking
from only1mcp.proxy.parts import Clock, Parts
from only1mcp.proxy.pipeline import Pipeline
from only1mcp.proxy.states import States
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.registry.edition import Edition
from only1mcp.registry.registry import Registry
from only1mcp.registry.server import Server
from only1mcp.resilience.limiter import Limiter
from only1mcp.sessions.session import Session, SessionSealer
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import MAX_CONNECTIONS, make_client
from only1mcp.worker.asides import Asides
from only1mcp.worker.cache_sweeps import CacheSweeps
from only1mcp.worker.doors import make_door, make_http
from only1mcp.worker.events import Events, HostWatcher
from only1mcp.worker.fast_lane import FastLane
from only1mcp.worker.kept_watches import KeptWatches
from only1mcp.worker.peers import WorkerPeers
from only1mcp.worker.recorder import REPORTS_S, Recorder
from only1mcp.worker.room import room_for
from only1mcp.worker.service import WorkerService
from only1mcp.worker.shared_sessions import SharedSessions
from only1mcp.worker.shedding import Shedding
from only1mcp.worker.surroundings import Surroundings

SETTLE_S = 3.0
"""The longest that greetings and lists wait, after a start, for servers that are slow to start."""


@dataclass(frozen=True, slots=True)
class Outfit:
    """What backends are made of."""

    client: aiohttp.ClientSession
    tasks: Tasks
    link: HostLink
    table: InstanceTable
    recorder: Recorder
    sessions: SharedSessions


@dataclass(slots=True)
class Graph:
    """The parts of a running worker that its life touches."""

    door: HttpDoor
    http: HttpServer
    edition: Edition
    link: HostLink
    backends: dict[str, Backend]
    reporter: HealthReporter
    tasks: Tasks
    client: aiohttp.ClientSession
    connections: Connections
    channels: Channels
    context: Context
    audience: Audience
    peers: WorkerPeers
    pipeline: Pipeline
    sse: SseDoor
    settings: Settings
    """Those in force; a reload swaps them, and all that was made of them."""
    parts: Parts
    origins: OriginCheck
    recorder: Recorder
    service: WorkerService
    outfit: Outfit
    sweeps: CacheSweeps
    asides: Asides
    shedding: Shedding
    lane: FastLane | None = None
    """None where all connections go through aiohttp."""

    def make_front(self) -> asyncio.BaseProtocol:
        """Make the protocol of one new connection."""
        if self.lane is None:
            return self.make_guard()
        front: asyncio.BaseProtocol = self.lane.lane.front()
        return front

    def make_guard(self) -> Guard:
        """Make the protocol of a connection that aiohttp's door serves."""
        settings = self.settings
        websocket = websocket_door.PATH.encode() if settings.websocket else None
        return Guard(self.http, settings.limits, self.connections, websocket)

    async def start(self) -> None:
        """Begin to learn what there is to serve."""
        await self.peers.serve(self.pipeline.handle, self.pipeline.stream, self.sse.take)
        self.reporter.start()
        self.link.start()
        if self.lane is not None:
            self.lane.reach_host()
        asyncio.get_running_loop().call_later(SETTLE_S, self.edition.settle)

    async def close(self) -> None:
        """End what is open towards the backends."""
        self.peers.close()
        self.sweeps.close()
        if self.lane is not None:
            self.lane.close()
        await asyncio.gather(*(backend.close() for backend in self.backends.values()))
        await self.tasks.cancel_all()
        await self.client.close()


def wall_seconds() -> int:
    """Return whole seconds since 1970."""
    return int(datetime.now(UTC).timestamp())


def build(context: Context) -> Graph:
    """Wire one worker; call it on its running loop."""
    shared, settings = context.shared, context.shared.settings
    tasks, client, shedding = Tasks(), make_client(), Shedding(settings.limits, context.metrics)
    edition, marks = _make_edition(context), SessionMarks(shared.memory, shared.ended_lock)
    events = Events(edition)
    link = HostLink(shared.runtime_dir.host_socket, tasks, events.offer, events.take, events.greet)
    learning = Learning(lambda topic: link.note({"learn": topic}), edition.tell_waiting)
    access = _make_access(context)
    peers, asks = _make_peers(context, tasks, access)
    audience = Audience(
        context.index, edition, marks, wall_seconds, HostWatcher(link, asks, events),
        TaskIds(shared.session_key),
    )  # fmt: skip
    reporter = HealthReporter(
        context.name, shared.runtime_dir.board_socket, shared.board_key, REPORTS_S
    )
    recorder = Recorder(context.metrics, shared.metrics_plan.server_ids, reporter)
    outfit = Outfit(
        client, tasks, link, _table(context), recorder, _make_sessions(context, link, tasks)
    )
    events.audience, events.learning, events.sessions = audience, learning, outfit.sessions
    events.kept = KeptWatches(link, audience.serials, tasks)
    backends = {server.id: make_backend(server, outfit) for server in settings.servers}
    ended = EndedSessions(shared.memory, shared.ended_lock)
    cache, sweeps, asides = _make_cache(context, link)
    parts = Parts(
        edition=edition,
        learning=learning,
        means=Means(
            backends=make_lines(settings, backends),
            hosted={server.id: LinkedBackend(server.id, link) for server in settings.servers},
            timeouts_s={server.id: server.timeout_s for server in settings.servers},
            asks=asks,
            parking=Parking(peers.address, shared.session_key),
            task_ids=TaskIds(shared.session_key),
            states=States(shared.session_key),
            on_attempt=recorder.attempt,
            new_token=_make_tokens(peers.address),
            on_aside=asides.take,
        ),
        audience=audience,
        peers=peers,
        sealer=SessionSealer(shared.session_key),
        is_ended=ended.__contains__,
        marks=marks,
        on_seen=events.kept.saw,
        on_level=outfit.sessions.want_level,
        on_roots_changed=lambda serial: link.note({"roots": serial}),
        record=recorder.record,
        clock=Clock(time.monotonic, wall_seconds),
        access=access,
        limiter=Limiter(
            Cells(shared.memory.cells, shared.ended_lock).take, context.metrics.exceeded
        ),
        cache=cache,
    )
    pipeline = Pipeline(parts, context.name, shared.settings.limits.max_batch)
    events.on_ended = pipeline.end_session
    service = _make_service(context, pipeline, edition, _make_end(ended, marks, link), shedding)
    channels, connections = Channels(), _make_connections(settings)
    sse = SseDoor(service, channels, peers, connections.held)
    origins = OriginCheck((*settings.allowed_hosts, settings.host), settings.allowed_origins)
    service.follow(settings)
    door = make_door(settings, service, channels, sse, origins, access, connections.held)
    graph = Graph(
        door, make_http(door, settings), edition, link, backends, reporter, tasks, client,
        connections, channels, context, audience, peers, pipeline, sse, settings, parts,
        origins, recorder, service, outfit, sweeps, asides, shedding,
    )  # fmt: skip
    if Lane is not None:
        graph.lane = _make_lane(graph)
    return graph


def _make_edition(context: Context) -> Edition:
    """Make what knows the servers' lists; what collides there the first worker tells for all."""
    shared, settings = context.shared, context.shared.settings
    told = Told(shared.memory, shared.ended_lock)
    return Edition(Registry(settings.servers), settings.page_size, told.is_news)


def _make_access(context: Context) -> Access:
    """Make what lets those in whom the settings name."""
    settings = context.shared.settings
    access = Access(context.shared.memory.revoked)
    access.follow(settings.keys, settings.rate, settings.client_places)
    return access


def _make_cache(context: Context, link: HostLink) -> tuple[ResponseCache, CacheSweeps, Asides]:
    """Make what keeps answers, as far as the settings want any kept, and what has it forget."""
    shared, row = context.shared, context.metrics.row
    settings, epochs = shared.settings, CacheEpochs(shared.memory, shared.ended_lock)
    cache = ResponseCache(
        Lru(0, epochs.words, row), epochs.places, row, shared.metrics_plan.shelf,
        time.monotonic,
    )  # fmt: skip
    cache.follow(settings.cache, settings.servers, settings.slot_of)
    cache.forget_counts()
    own = shared.memory.swept[context.index : context.index + 1]
    asides = Asides(epochs, link.note)
    asides.follow(settings.slot_of)
    return cache, CacheSweeps(cache.store, epochs, own), asides


def _make_sessions(context: Context, link: HostLink, tasks: Tasks) -> SharedSessions:
    """Make what shares sessions with the host."""
    ids = MessageIds(context.shared.memory, context.shared.ended_lock)
    return SharedSessions(link, ids.take, tasks)


def _make_peers(context: Context, tasks: Tasks, access: Access) -> tuple[WorkerPeers, Asks]:
    """Make what leads to the other workers, and what waits for answers that they pass on."""
    shared = context.shared
    workers = partial(worker_indices, shared.memory)
    peers = WorkerPeers(shared.runtime_dir.path, context.index, workers, tasks, access)
    return peers, Asks(peers.address)


def _table(context: Context) -> InstanceTable:
    """Return what this worker shares with all others about the instances of servers."""
    shared = context.shared
    return InstanceTable(shared.memory, shared.ended_lock, context.index)


def _make_tokens(address: str) -> Callable[[], bytes]:
    """Make what mints progress tokens that no other call of the gateway has, as JSON."""
    numbers = itertools.count(1)
    return lambda: b'"o1-%b-%d"' % (address.encode(), next(numbers))


def _make_end(
    ended: EndedSessions, marks: SessionMarks, link: HostLink
) -> Callable[[Session], None]:
    """Make what ends a session before its time, for all workers and the host."""

    def end(session: Session) -> None:
        ended.add(session.serial, session.expires, wall_seconds())
        marks.set_stream(session.serial, session.expires, 0, wall_seconds())
        link.note({"ended": session.serial})

    return end


def _make_service(
    context: Context, pipeline: Pipeline, edition: Edition, end: Callable[[Session], None],
    shedding: Shedding,
) -> WorkerService:  # fmt: skip
    """Make what the doors lead to."""
    shared = context.shared
    metrics = MetricsReader(shared.metrics_plan, shared.memory)
    named = NamedInstances(_table(context), shared.settings.servers)
    metrics.add(InstanceMetrics(named))
    metrics.add(LoopMetrics(shared.metrics_plan, shared.memory))
    service = WorkerService(
        pipeline, end, HealthWords(shared.memory), metrics, named, edition,
        shared.runtime_dir.control_socket,
    )  # fmt: skip
    service.shedding = shedding
    return service


def make_backend(server: Server, outfit: Outfit, before: Backend | None = None) -> Backend:
    """Make the way to a server, over HTTP or through the host; it may go on with what it was."""
    if not server.is_shared_out:
        return LinkedBackend(server.id, outfit.link)
    known = [outfit.table.known(server.id, place.url) for place in server.places]
    recorder = outfit.recorder
    instances = Instances(server, known, recorder.breaker_turned, recorder.retry)
    if server.transport != "http":
        return ReplicatedBackend(server.id, outfit.link, instances)
    heritage = before if isinstance(before, HttpBackend) else None
    return HttpBackend(
        server, outfit.client, outfit.tasks, instances, heritage, outfit.sessions.keeper,
        outfit.recorder.batch,
    )  # fmt: skip


def make_lines(settings: Settings, backends: Mapping[str, Backend]) -> dict[str, Backend]:
    """Put a line before each server, for calls on the common way."""
    limits = settings.limits
    lines: dict[str, Backend] = {}
    for server in settings.servers:
        most = min(limits.max_calls, MAX_CONNECTIONS * len(server.instances) or limits.max_calls)
        inner = backends[server.id]
        lines[server.id] = Line(server.id, inner, most, limits.max_wait_s)
    return lines


def _make_connections(settings: Settings) -> Connections:
    """Bound what clients may have of one worker."""
    limit, by_files = room_for(settings)
    return Connections(limit, Held(settings.limits.max_buffered), by_files=by_files)


def _make_lane(graph: Graph) -> FastLane:
    """Make the fast lane, which leads past aiohttp."""
    around = Surroundings(
        graph.parts, graph.pipeline, graph.origins, graph.settings.limits, graph.connections,
        graph.make_guard, graph.tasks, graph.shedding, graph.recorder.log, graph.door.pages,
    )  # fmt: skip
    lane = FastLane(around, graph.context)
    graph.outfit.sessions.is_on_lane = lane.is_on
    graph.shedding.guard(lane.lane)
    graph.link.on_break = lane.leave_host
    return lane
