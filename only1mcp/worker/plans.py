"""Which calls may take the fast lane, and how they travel there."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from only1mcp import __version__
from only1mcp._speedups import Across, Choice, Envelope, Keeping, Plan, Ready
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_backend import HttpBackend
from only1mcp.backends.http_rules import modern_headers
from only1mcp.backends.http_session import HttpSession
from only1mcp.backends.instances import Instances
from only1mcp.backends.line import Line
from only1mcp.backends.replicated import ReplicatedBackend
from only1mcp.config.settings import Settings
from only1mcp.errors import Only1MCPError
from only1mcp.memory.cache_epochs import RESOURCE, TOOL
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.protocol.client_features import Feature, read_features
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.methods import METHODS, Method
from only1mcp.protocol.task_members import declares_extension
from only1mcp.protocol.translate import CACHEABLE_METHODS, meta_for_legacy
from only1mcp.protocol.versions import Era
from only1mcp.proxy import local
from only1mcp.proxy.cache import Kind, prefix
from only1mcp.proxy.cache_keys import LEGACY_PLAIN
from only1mcp.proxy.flights import Flights
from only1mcp.proxy.learning import LEGACY as LEARNED_LEGACY
from only1mcp.proxy.outbound import choose_leg
from only1mcp.proxy.parts import Parts
from only1mcp.registry.server import Server
from only1mcp.registry.snapshot import Scope, Snapshot
from only1mcp.routing.load_balancer import Key, place_of
from only1mcp.routing.router import Route, route
from only1mcp.transports.streamable_http import MAX_CONNECTIONS
from only1mcp.worker.refusals import shut

METHODS_CARRIED = frozenset({"tools/call", "prompts/get", "resources/read"})
LEGACY_WITH_TASKS = b"legacy with tasks"
LEGACY = b"legacy"
"""Stands for the features of a legacy session that has none."""
MAX_SLOTS = 2**16
"""What a process's number counts in the address by which the host knows it."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An instance that the lane reaches."""

    session: HttpSession
    pool: Any
    line: bytes
    """The request's head as far as all calls have it in common."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A server that the lane reaches."""

    server: Server
    index: int
    """Its place in the metrics."""
    ways: tuple[Any, ...] = ()
    """The lane's link to the host, if that owns it, for each of its processes."""
    instances: Instances | None = None
    """None where there is one process at the host."""
    reached: tuple[Reached, ...] = ()
    """All its instances."""


@dataclass(frozen=True, slots=True)
class _Eras:
    """What is spoken on the two sides of us."""

    client: Era
    server: Era

    @property
    def is_across(self) -> bool:
        """Whether messages are translated."""
        return self.client is not self.server


class Plans:
    """Makes the plans of one worker."""

    def __init__(self, parts: Parts, metrics: MetricsPlan, flights: Flights | None) -> None:
        self._parts = parts
        self._flights = flights
        self._metrics = metrics
        self._carried: dict[str, Carried] = {}
        self._metas: dict[bytes, bytes] = {}
        """What stands for clients' `_meta` at legacy servers, as far as `Across` remembers it."""

    def carry(self, lane: Any, link: Any, settings: Settings) -> list[Any]:
        """Have the lane reach these servers, as far as it can.

        Returns the pools that it does not need any more; a server that did not move keeps its own.
        """
        pools: dict[HttpSession, Reached] = {
            one.session: one for known in self._carried.values() for one in known.reached
        }
        self._carried = {}
        slots = settings.slot_of
        for server in settings.servers:
            if server.transport == "stdio":
                way = partial(link.way, limit=settings.limits.max_calls)
                self._carried[server.id] = self._hosted(server, slots[server.id], way)
                continue
            line = self._parts.means.backends[server.id]
            backend = line.inner if isinstance(line, Line) else line
            if not isinstance(backend, HttpBackend):
                continue
            urls = [urlsplit(place.url) for place in server.instances]
            if any(url.username is not None or url.password is not None for url in urls):
                continue
            reach = partial(_reach, lane, min(settings.limits.max_calls, MAX_CONNECTIONS), server)
            reached = tuple(
                pools.pop(session) if session in pools else reach(url, session)
                for url, session in zip(urls, backend.sessions, strict=True)
            )
            self._carried[server.id] = Carried(
                server, slots[server.id], (), backend.instances, reached
            )
        return [one.pool for one in pools.values()]

    def _hosted(self, server: Server, slot: int, way: Callable[[int], Any]) -> Carried:
        """Reach the processes of a program, each by its number."""
        line = self._parts.means.backends[server.id]
        backend = line.inner if isinstance(line, Line) else line
        if not isinstance(backend, ReplicatedBackend):
            return Carried(server, slot, (way(slot),))
        numbers = range(1, server.replicas + 1)
        ways = tuple(way(number * MAX_SLOTS + slot) for number in numbers)
        return Carried(server, slot, ways, backend.instances)

    def close(self) -> None:
        """Close what is open to the servers."""
        for carried in self._carried.values():
            for one in carried.reached:
                one.pool.close()

    def plan(self, envelope: Envelope, features: bytes, scope: Scope) -> Any:
        """Return the plan for calls like this one.

        When they take the common way it is the line before their server, or False where there is no
        single one. None stands for the common way too, until more is known.
        """
        method = METHODS.get(envelope.method or "")
        if method is None or method.name not in METHODS_CARRIED:
            return False
        era, known = _read(features)
        if not self._is_known(era, known):
            return None
        snapshot = self._parts.edition.view(known, scope)
        inbound = Inbound(envelope, era, method)
        way = _single(inbound, snapshot)
        if way is None:
            return False
        eras = _Eras(era, choose_leg(era, way.server_ids[0], snapshot))
        kind = None if self._parts.cache is None else self._parts.cache.kind(inbound, way)
        carried = self._carried.get(way.server_ids[0])
        if carried is None or self._is_odd(carried, way, features, snapshot, eras, kind):
            return self._parts.means.backends.get(way.server_ids[0], False)
        leads = self._choice(carried, way, method, eras)
        if eras.is_across:
            return None if leads is None else Across(leads, meta_for_legacy, self._metas)
        return leads if kind is None else self._keeping(kind, way, features, leads)

    def _is_odd(
        self, carried: Carried, way: Route, features: bytes, snapshot: Snapshot, eras: "_Eras",
        kind: Kind | None,
    ) -> bool:  # fmt: skip
        """Say whether calls to a server need more understanding than the lane has.

        Of those that are translated it carries a modern client's to a legacy server which has
        nothing to ask of it, unless the answer is kept.
        """
        has_tasks = snapshot.catalogues[carried.server.id].has_task_extension
        may_be_task = has_tasks and declares_extension(features)
        has_company = eras.server is Era.LEGACY and carried.server.batching is not None
        if way.param_headers or may_be_task or has_company:
            return True
        is_new = eras.server is Era.MODERN
        return eras.is_across and (is_new or bool(_read(features)[1]) or kind is not None)

    def _keeping(self, kind: Kind, way: Route, features: bytes, leads: Any) -> Any:
        """Return what finds answers that are kept before a call is made."""
        cache, (era, _) = self._parts.cache, _read(features)
        assert cache is not None
        common = prefix(kind, way, era, LEGACY_PLAIN if era is Era.LEGACY else features)
        method = METHODS[RESOURCE if kind.by_server else TOOL]
        slots = self._metrics.fast_slots(method.index, 0)[:2]
        return Keeping(
            cache.store, common, not kind.by_server, kind.by_server, slots, kind, self._flights,
            leads,
        )  # fmt: skip

    def _choice(self, carried: Carried, way: Route, method: Method, eras: "_Eras") -> Any:
        """Return what chooses the instance, and with it the plan, for each such call."""
        if carried.instances is None:
            return self._write(carried, way, method, eras)
        routing, policy = carried.server.routing, carried.server.breaker
        is_placed = routing.algorithm == "consistent_hash"
        arguments = carried.instances.arguments
        refused, *slots = self._metrics.shut_slots(method.index, carried.index)
        return Choice(
            partial(self._write, carried, way, method, eras), carried.instances.balancer,
            carried.instances.gauges, policy.timeout_ms, policy.successes,
            place_of((way.target or method.name).encode()),
            partial(_by_arguments, arguments) if is_placed and routing.hash_key == "arguments"
            else None,
            is_placed and routing.hash_key == "session",
            is_placed and routing.hash_key == "principal", routing.sticky,
            carried.server.id, partial(shut, carried.server.id, refused), slots,
        )  # fmt: skip

    def ready(self, envelope: Envelope, features: bytes, scope: Scope) -> Any:
        """Return the answer to requests like this one; False when it is not the same for all.

        None says that it may be later.
        """
        method = METHODS.get(envelope.method or "")
        era, known = _read(features)
        if method is None or era not in method.eras:
            return False
        if not self._is_known(era, known):
            return None
        snapshot = self._parts.edition.view(known, scope)
        if method.result_key is not None:
            has_tasks = features == LEGACY_WITH_TASKS
            result = local.list_page(
                envelope, method.result_key, era, snapshot, core_tasks=has_tasks
            )
        elif method.name == "server/discover":
            result = local.discover(snapshot)
        else:
            return False
        return Ready(result, self._metrics.fast_slots(method.index, 0)[:2])

    def _is_known(self, era: Era, features: Feature) -> bool:
        """Say whether the host has found out what there is, and what such clients need."""
        learning = self._parts.learning
        if not self._parts.edition.settled:
            return False
        if features and not learning.knows(str(int(features))):
            return False
        return era is Era.MODERN or learning.knows(LEARNED_LEGACY)

    def _write(
        self, carried: Carried, way: Route, method: Method, eras: "_Eras", place: int = 0
    ) -> Any:
        """Write the plan for one instance."""
        session, opened, head, instances = None, None, b"", carried.instances
        gauge = None if instances is None else instances.gauges[place]
        name, is_modern = method.name, eras.client is Era.MODERN
        if carried.ways:
            leads = carried.ways[place]
        else:
            one = carried.reached[place]
            leads, session = one.pool, one.session
            headers = modern_headers(Outgoing(name, b"", eras.server, way.target))
            if eras.server is Era.LEGACY:
                opened = session.opened
                if opened is None:
                    return None  # the common way opens it
                headers = {"Mcp-Method": name, **opened.headers}
            head = one.line + _fields(headers.items()) + b"Content-Length: "
        return Plan(
            leads, instances, place, gauge, head, way.name, session, opened,
            is_modern, eras.is_across, is_modern and name in CACHEABLE_METHODS,
            method.safe or way.safe,
            self._parts.means.timeouts_s[carried.server.id],
            self._metrics.fast_slots(method.index, carried.index),
            (name, way.target, carried.server.id),
        )  # fmt: skip


def _single(inbound: Inbound, snapshot: Snapshot) -> Route | None:
    """Return where a request goes, if that is one server."""
    try:
        way = route(inbound, snapshot)
    except Only1MCPError:
        return None
    return way if len(way.server_ids) == 1 else None


def _by_arguments(arguments: Key, envelope: Envelope) -> int:
    return arguments(envelope.body[envelope.params_start : envelope.params_end])


def _reach(lane: Any, most: int, server: Server, url: SplitResult, session: HttpSession) -> Reached:
    """Have the lane reach one instance, on so many connections."""
    pool = lane.pool(_connector(url.scheme, url.hostname or "", url.port), most)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return Reached(session, pool, _head(path, url.netloc, server.headers))


def _read(features: bytes) -> tuple[Era, Feature]:
    """Tell the era and the features that a key stands for."""
    if features in (LEGACY, LEGACY_WITH_TASKS):
        return Era.LEGACY, Feature(0)
    return Era.MODERN, read_features(features)


def _head(path: str, host: str, own: tuple[tuple[str, str], ...]) -> bytes:
    common = {
        "Host": host, "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream", "Accept-Encoding": "identity",
        "User-Agent": f"only1mcp/{__version__}",
    }  # fmt: skip
    return f"POST {path} HTTP/1.1\r\n".encode() + _fields([*common.items(), *own])


def _fields(pairs: Any) -> bytes:
    lines = []
    for name, value in pairs:
        if any(c in f"{name}{value}" for c in "\r\n\0"):
            raise ValueError(f"header {name!r} breaks the line")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode()


def _connector(scheme: str, host: str, port: int | None) -> Callable[[Any], Any]:
    """Return what opens a connection for a protocol."""
    context = ssl.create_default_context() if scheme == "https" else None
    number = port or (443 if context is not None else 80)

    async def connect(protocol: Any) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: protocol, host, number, ssl=context,
            server_hostname=host if context is not None else None,
        )  # fmt: skip

    return connect
