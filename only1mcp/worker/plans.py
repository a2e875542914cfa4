"""Which calls may take the fast lane, and how they travel there."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from only1mcp import __version__
from only1mcp._speedups import Envelope, Plan, Ready
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_backend import HttpBackend
from only1mcp.backends.http_rules import modern_headers
from only1mcp.backends.http_session import HttpSession
from only1mcp.config.settings import Settings
from only1mcp.errors import Only1MCPError
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.protocol.client_features import Feature, read_features
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.task_members import declares_extension
from only1mcp.protocol.translate import CACHEABLE_METHODS
from only1mcp.protocol.versions import Era
from only1mcp.proxy import local
from only1mcp.proxy.learning import LEGACY as LEARNED_LEGACY
from only1mcp.proxy.outbound import choose_leg
from only1mcp.proxy.pipeline import Parts
from only1mcp.registry.server import Server
from only1mcp.registry.snapshot import Scope
from only1mcp.routing.router import Route, route

METHODS_CARRIED = frozenset({"tools/call", "prompts/get", "resources/read"})
LEGACY_WITH_TASKS = b"legacy with tasks"
LEGACY = b"legacy"
"""Stands for the features of a legacy session that has none."""
MAX_CONNECTIONS = 256
"""Open to one server at a time, from one worker."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A server that the lane reaches."""

    server: Server
    way: Any
    """Connections to it, or the lane's link to the host, which owns it."""
    index: int
    """Its place in the metrics."""
    session: HttpSession | None = None
    """None at the host."""
    line: bytes = b""
    """The request's head as far as all calls have it in common; the host is sent none."""


class Plans:
    """Makes the plans of one worker."""

    def __init__(self, parts: Parts, metrics: MetricsPlan) -> None:
        self._parts = parts
        self._metrics = metrics
        self._carried: dict[str, Carried] = {}

    def carry(self, lane: Any, link: Any, settings: Settings) -> list[Any]:
        """Have the lane reach these servers, as far as it can.

        Returns the pools that it does not need any more; a server that did not move keeps its own.
        """
        before, self._carried = self._carried, {}
        slots = settings.slot_of
        for server in settings.servers:
            if server.transport == "stdio":
                slot = slots[server.id]
                self._carried[server.id] = Carried(server, link.way(slot), slot)
                continue
            backend = self._parts.means.backends[server.id]
            session = backend.only_session if isinstance(backend, HttpBackend) else None
            if session is None:
                continue
            url = urlsplit(server.instances[0].url)
            if url.username is not None or url.password is not None:
                continue
            known = before.get(server.id)
            if known is not None and known.session is session:
                pool = before.pop(server.id).way
            else:
                connect = _connector(url.scheme, url.hostname or "", url.port)
                pool = lane.pool(connect, MAX_CONNECTIONS)
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            line = _head(path, url.netloc, server.headers)
            self._carried[server.id] = Carried(server, pool, slots[server.id], session, line)
        return [carried.way for carried in before.values() if carried.session is not None]

    def close(self) -> None:
        """Close what is open to the servers."""
        for carried in self._carried.values():
            if carried.session is not None:
                carried.way.close()

    def plan(self, envelope: Envelope, features: bytes, scope: Scope) -> Any:
        """Return the plan for calls like this one; False when they take the common way.

        None stands for the common way too, until more is known.
        """
        method = METHODS.get(envelope.method or "")
        if method is None or method.name not in METHODS_CARRIED:
            return False
        era, known = _read(features)
        if not self._is_known(era, known):
            return None
        snapshot = self._parts.edition.view(known, scope)
        try:
            way = route(Inbound(envelope, era, method), snapshot)
        except Only1MCPError:
            return False
        carried = self._carried.get(way.server_ids[0])
        is_plain = len(way.server_ids) == 1 and not way.param_headers
        if carried is None or not is_plain:
            return False
        owner = snapshot.catalogues[carried.server.id]
        may_be_task = owner.has_task_extension and declares_extension(features)
        if may_be_task or choose_leg(era, carried.server.id, snapshot) is not era:
            return False
        return self._write(carried, way, method.name, era)

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

    def _write(self, carried: Carried, way: Route, method: str, era: Era) -> Any:
        session, opened, head = carried.session, None, b""
        if session is not None:
            headers = modern_headers(Outgoing(method, b"", era, way.target))
            if era is Era.LEGACY:
                opened = session.opened
                if opened is None:
                    return None  # the common way opens it
                headers = {"Mcp-Method": method, **session.opened_headers}
            head = carried.line + _fields(headers.items()) + b"Content-Length: "
        return Plan(
            carried.way, head, way.name, session, opened, era is Era.MODERN,
            era is Era.MODERN and method in CACHEABLE_METHODS,
            self._parts.means.timeouts_s[carried.server.id],
            self._metrics.fast_slots(METHODS[method].index, carried.index),
            (method, way.target, carried.server.id),
        )  # fmt: skip


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
