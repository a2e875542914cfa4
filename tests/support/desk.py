"""A pipeline over fake backends, and everything that comes out of it."""

import json
from collections.abc import Mapping
from typing import Any

from only1mcp._speedups import SHELF, Lru
from only1mcp.auth.access import Access
from only1mcp.memory.cache_epochs import CacheEpochs
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.cache import ResponseCache
from only1mcp.proxy.call import Means
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.journey import Outcome
from only1mcp.proxy.learning import LEGACY, Learning
from only1mcp.proxy.parking import Parking
from only1mcp.proxy.parts import Clock, Parts
from only1mcp.proxy.pipeline import Pipeline
from only1mcp.proxy.states import States
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.edition import Edition
from only1mcp.registry.registry import Registry
from only1mcp.registry.server import CacheLimits, Kept
from only1mcp.resilience.limiter import Limiter
from only1mcp.sessions.session import Session, SessionSealer
from tests.support.catalogues import server
from tests.support.fake_backend import FakeBackend
from tests.support.fake_peers import FakePeers, FakeWatcher
from tests.support.lock_file import LOCK_FILE
from tests.support.messages import legacy, modern, modern_headers
from tests.support.told import Told

_TOPICS = (LEGACY, *map(str, range(1, 128)))


class Bucket:
    """Has tokens for all, unless it is told how long to wait for the next."""

    def __init__(self) -> None:
        self.wait_ns = 0
        self.charged: list[int] = []
        """The cells that a token was asked of."""
        self.exceeded: list[int] = []
        """The numbers of those who got none."""

    def take(self, cell: int, now: int, interval: int, capacity: int) -> int:
        """Take a token, if there is to be one."""
        del now, interval, capacity
        self.charged.append(cell)
        return self.wait_ns


class Desk:
    """Sends messages through the real pipeline; made on a running loop.

    Calls of clients that can be asked go to `hosted`, all others to `backends`.
    """

    def __init__(
        self, *catalogues: Catalogue, settled: bool = True, timeout_s: float = 60.0,
        page_size: int = 1000, learned: bool = True, address: str = "1.0",
        access: Access | None = None, kept: Mapping[str, Kept] | None = None,
    ) -> None:  # fmt: skip
        self.bucket = Bucket()
        self.now = 1_000_000
        self.ended: set[int] = set()
        self.outcomes: list[Outcome] = []
        self.attempts: list[tuple[str, str]] = []
        self.roots_changed, self.levels = list[int](), list[int]()
        self.topics, self.asides = list[str](), list[tuple[str, str]]()
        """What the host was asked to find out; who said what that is about more than a call."""
        ids = [one.server_id for one in catalogues]
        self.backends = {server_id: FakeBackend() for server_id in ids}
        self.hosted = {server_id: FakeBackend() for server_id in ids}
        self.sealer = SessionSealer(bytes(32))
        self.edition = Edition(Registry(map(server, ids)), page_size)
        for one in catalogues:
            if one.eras:
                self.edition.update(one)
        if settled:
            self.edition.settle()
        self.learning = Learning(self.topics.append, self.edition.tell_waiting)
        for topic in _TOPICS if learned else ():
            self.learning.learned(topic)
        self.marks = SessionMarks(SharedMemory(Layout(1, 1, 1)), LOCK_FILE)
        self.watcher = FakeWatcher()
        self.task_ids = TaskIds(bytes(32))
        self.audience = Audience(
            0, self.edition, self.marks, lambda: self.now, self.watcher, self.task_ids
        )
        self.watcher.on_watch = self.audience.watching
        self.peers = FakePeers(address)
        self.asks = Asks(address)
        self.parking = Parking(address, bytes(32))
        self._ticks = self._tokens = 0
        means = Means(
            backends=self.backends, hosted=self.hosted,
            timeouts_s=dict.fromkeys(ids, timeout_s), asks=self.asks, parking=self.parking,
            task_ids=self.task_ids, states=States(bytes(32)),
            on_attempt=lambda who, status, seconds: self.attempts.append((who, status)),
            new_token=self._token,
            on_aside=lambda who, message: self.asides.append((who, message.method or "")),
        )  # fmt: skip
        self.pipeline = Pipeline(
            Parts(
                edition=self.edition,
                learning=self.learning,
                means=means,
                audience=self.audience,
                peers=self.peers,
                sealer=self.sealer,
                is_ended=self.ended.__contains__,
                marks=self.marks,
                on_roots_changed=self.roots_changed.append,
                on_level=self.levels.append,
                record=self.outcomes.append,
                clock=Clock(self._tick, lambda: self.now),
                access=access or Access(),
                limiter=Limiter(self.bucket.take, self.bucket.exceeded.append),
                cache=None if kept is None else self._cache(ids, kept),
            ),
            "desk",
        )

    def _cache(self, ids: list[str], kept: Mapping[str, Kept]) -> ResponseCache:
        """Keep these answers; `moment` is the time, and `epochs` says what has changed."""
        memory = SharedMemory(Layout(1, len(ids), len(ids) * SHELF))
        self.moment = 1000.0
        self.epochs = CacheEpochs(memory, LOCK_FILE)
        self.shelves = memory.metrics_row(0)
        store = Lru(0, self.epochs.words, self.shelves)
        self.cache = ResponseCache(
            store, self.epochs.places, self.shelves, SHELF.__mul__, lambda: self.moment
        )
        servers = tuple(server(one, kept=kept.get(one, Kept())) for one in ids)
        slots = {one: slot for slot, one in enumerate(ids)}
        self.cache.follow(CacheLimits(2**20, 60.0), servers, slots)
        return self.cache

    def _tick(self) -> float:
        self._ticks += 1
        return float(self._ticks)

    def _token(self) -> bytes:
        self._tokens += 1
        return b'"ours-%d"' % self._tokens

    def send(self, body: bytes, headers: McpHeaders | None = None) -> Told:
        """Send any message."""
        return self.take(Request(headers or McpHeaders(), body, "1.2.3.4"))

    def take(self, request: Request) -> Told:
        """Handle a request, as ingress or another worker hands it over."""
        told = Told()
        told.cancel = self.pipeline.handle(request, told)
        return told

    def modern(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Told:
        """Send a request of 2026-07-28 with its headers."""
        params = params or {}
        name = params.get("uri") if method == "resources/read" else params.get("name")
        name = params.get("taskId") if method.startswith("tasks/") else name
        return self.send(modern(method, params, **more), modern_headers(method, name))

    def session(
        self, capabilities: bytes = b"{}", info: bytes = b"", version: str = "2025-11-25"
    ) -> str:
        """Open a legacy session; return its id."""
        return self.sealer.seal(self.sealer.create(version, capabilities, info, self.now))

    def opened(self, session: str) -> Session:
        """Return what a session id carries."""
        return self.sealer.open(session, self.now)

    def legacy(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None,
        **more: Any,
    ) -> Told:  # fmt: skip
        """Send a request on a legacy session, a new one if none is given."""
        headers = McpHeaders(session=session or self.session())
        return self.send(legacy(method, params, **more), headers)

    def post(self, session: str, body: bytes) -> Told:
        """Send anything on a legacy session."""
        return self.send(body, McpHeaders(session=session))

    def stream(
        self, session: str, last_event_id: str | None = None, *, forwarded: bool = False
    ) -> Told:
        """Open the stream of a legacy session, or resume one."""
        told = Told()
        request = Request(
            McpHeaders(session=session), b"", "1.2.3.4", last_event_id=last_event_id,
            forwarded=forwarded,
        )  # fmt: skip
        told.cancel = self.pipeline.stream(request, told)
        return told


def tool_result(text: str) -> bytes:
    """Return what a tool answers."""
    return json.dumps({"content": [{"type": "text", "text": text}]}).encode()
