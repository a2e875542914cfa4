"""The answers that a worker keeps: which may be, for how long, and for whom.

The answers of a tool are kept if the configuration says so, those to `resources/read` as their
server says (2026-07-28, server/utilities/caching). An answer is its caller's alone unless a server
calls a resource public. Errors, tasks, results that want input, and those that came with messages
are never kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from only1mcp._speedups import BYTES, ENTRIES, JOINED, MISSES, Entry, Envelope, members, scan
from only1mcp.auth.principal import Principal
from only1mcp.memory.cache_epochs import RESOURCE, TOOL
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.versions import Era
from only1mcp.proxy import cache_keys
from only1mcp.proxy.exchange import Answer
from only1mcp.proxy.outbound import choose_leg
from only1mcp.registry.server import CacheLimits, Server
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session

LARGEST_PARAMS = 65_536
_WANTING = frozenset({"task", "inputRequests"})
Places = Callable[[int, str, str], tuple[int, int]]
"""Returns the places of a server's word and of a target's, by slot, method and target."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where one server's answers are counted."""

    server: Server
    slot: int
    edition: int
    """Grows when the server is declared in another way: what the one before said is not its own."""
    first: int
    """The first of its words in the metrics."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of calls whose answers may be kept."""

    shelf: Shelf
    seconds: float
    """How long they are good, or at most."""
    by_server: bool
    """Whether the server says how long, and for whom."""
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call whose answer may be kept, or is."""

    kind: Kind
    own: bytes
    """The key of the answer to its caller."""
    public: bytes | None
    """The key of the answer to all."""
    may_publish: bool
    """Whether all may get what this caller is answered."""
    stamp: int
    sent: float


class ResponseCache:
    """One worker's.

    Args:
        store: holds the answers.
        places: finds the words that say what has changed.
        row: the worker's metrics.
        shelf_at: returns the first of a server's words there, by its slot.
        now: seconds that never go back.
    """

    def __init__(
        self, store: Any, places: Places, row: "memoryview[int]",
        shelf_at: Callable[[int], int], now: Callable[[], float],
    ) -> None:  # fmt: skip
        self.store = store
        self._places = places
        self._row = row
        self._shelf_at = shelf_at
        self._now = now
        self._limits: CacheLimits | None = None
        self._shelves: dict[str, Shelf] = {}
        self._editions = 0
        """How many declarations of servers there have been."""

    def follow(
        self, limits: CacheLimits | None, servers: tuple[Server, ...], slots: dict[str, int]
    ) -> None:
        """Keep the answers of these servers from now on."""
        if self._limits and limits and limits.max_ttl_s < self._limits.max_ttl_s:
            self.store.clear()  # what was kept before was kept for longer
        self._limits = limits
        known, self._shelves = self._shelves, {}
        for server in servers:
            slot, edition = slots[server.id], self._edition(known.get(server.id), server)
            self._shelves[server.id] = Shelf(server, slot, edition, self._shelf_at(slot))
        self.store.shrink(limits.max_bytes if limits is not None else 0)

    def _edition(self, before: Shelf | None, server: Server) -> int:
        if before is not None and before.server == server:
            return before.edition
        self._editions += 1
        return self._editions

    def forget_counts(self) -> None:
        """Begin at nought, whatever a worker before us kept."""
        for shelf in self._shelves.values():
            self._row[shelf.first + ENTRIES] = self._row[shelf.first + BYTES] = 0

    def kind(self, inbound: Inbound, way: Route) -> Kind | None:
        """Return what calls of this kind are; None when their answers are not kept."""
        limits, method = self._limits, inbound.method
        shelf = self._shelves.get(way.server_ids[0])
        if limits is None or method is None or shelf is None or len(way.server_ids) > 1 or way.own:
            return None
        kept, seconds = shelf.server.kept, 0.0
        if method.name == TOOL:
            seconds = kept.tool_s(way.target, only_reads=way.only_reads)
        elif method.name == RESOURCE and kept.resources:
            seconds = limits.max_ttl_s
        if not seconds:
            return None
        words = self._places(shelf.slot, method.name, way.target)
        return Kind(shelf, seconds, method.name == RESOURCE, words)

    def ticket(
        self, inbound: Inbound, session: Session | None, way: Route, snapshot: Snapshot,
        who: Principal,
    ) -> Ticket | None:  # fmt: skip
        """Return what a call's answer is kept by; None when it is not kept."""
        kind, envelope = self.kind(inbound, way), inbound.envelope
        if kind is None or cache_keys.asks_for_more(envelope):
            return None
        if envelope.params_end - envelope.params_start > LARGEST_PARAMS:
            return None
        leg = choose_leg(inbound.era, way.server_ids[0], snapshot)
        common = prefix(kind, way, leg, _capabilities(inbound, leg, session))
        params = cache_keys.bare_params(envelope, not kind.by_server)
        own = cache_keys.whole(common, cache_keys.caller_part(who.id), params)
        public = cache_keys.whole(common, cache_keys.ANYBODY, params) if kind.by_server else None
        return Ticket(
            kind, own, public, cache_keys.is_plain(envelope), self.store.stamp(*kind.words),
            self._now(),
        )  # fmt: skip

    def find(self, ticket: Ticket) -> bytes | None:
        """Return the result that is kept, and count it."""
        now = self._now()
        for key in (ticket.own, ticket.public):
            entry = None if key is None else self.store.get(key, now)
            if entry is not None:
                self.store.hit(entry)
                text: bytes = entry.text(now)
                return text
        return None

    def missed(self, ticket: Ticket) -> None:
        """Count a call to the server."""
        self._row[ticket.kind.shelf.first + MISSES] += 1

    def joined(self, ticket: Ticket) -> None:
        """Count a call that waits for the answer to another."""
        self._row[ticket.kind.shelf.first + JOINED] += 1

    def keep(self, ticket: Ticket, reply: Envelope, answer: Answer) -> None:
        """Keep an answer if it may be kept.

        Args:
            ticket: as it was before the call was sent.
            reply: what the server said.
            answer: what its caller gets.
        """
        said = _fields(reply)
        seconds = _allowed_s(said) if ticket.kind.by_server else ticket.kind.seconds
        seconds = min(seconds, ticket.kind.seconds)
        if seconds <= 0 or said.get("isError") == b"true":
            return
        is_public = said.get("cacheScope") == b'"public"' and ticket.may_publish
        key = ticket.public if is_public and ticket.public is not None else ticket.own
        result, split = _without_digits(answer.body, ticket.kind.by_server)
        self.store.put(Entry(
            key, result, split, ticket.sent + seconds, ticket.kind.words, ticket.stamp,
            ticket.kind.shelf.first,
        ))  # fmt: skip


def prefix(kind: Kind, way: Route, leg: Era, capabilities: bytes) -> bytes:
    """Return the part of the key that calls of one kind have in common.

    Args:
        kind: what they are.
        way: where they go.
        leg: the era that is spoken there.
        capabilities: what the client can do; `LEGACY_PLAIN` for nothing, in the legacy era.
    """
    server, method = kind.shelf.server, RESOURCE if kind.by_server else TOOL
    return cache_keys.prefix(
        (server.id, kind.shelf.edition), method, way.target, (leg, way.wraps_output), capabilities
    )


def is_complete(reply: Envelope | None) -> bool:
    """Say whether a reply is a result that wants nothing more and stands for no task."""
    if reply is None or not reply.result_end or reply.result_type not in (None, "complete"):
        return False
    said = _fields(reply)
    return bool(said) and _WANTING.isdisjoint(said)


def _capabilities(inbound: Inbound, leg: Era, session: Session | None) -> bytes:
    """Return what the client can do, as far as its answers may depend on it."""
    envelope = inbound.envelope
    if session is None:
        raw: bytes = envelope.body[envelope.capabilities_start : envelope.capabilities_end]
        return raw
    if leg is Era.LEGACY and not session.features:
        return cache_keys.LEGACY_PLAIN
    return b"%b %b" % (cache_keys.LEGACY_PLAIN, session.capabilities)


def _fields(reply: Envelope) -> dict[str, bytes]:
    body: bytes = reply.body
    if body[reply.result_start : reply.result_start + 1] != b"{":
        return {}
    return {key: body[a:b] for key, a, b in members(body, reply.result_start)}


def _allowed_s(said: dict[str, bytes]) -> float:
    """Return how long a server allows its answer to be kept; it has to say for whom, too."""
    digits = said.get("ttlMs", b"")
    known = as_string(said.get("cacheScope", b"")) in ("public", "private")
    return int(digits) / 1000 if known and digits.isdigit() and len(digits) < 16 else 0.0


def _without_digits(body: bytes, hinted: bool) -> tuple[bytes, int]:
    """Return the result of an answer without the digits of its `ttlMs`, and where they stood."""
    message = scan(body)
    start, end = message.result_start, message.result_end
    for key, a, b in members(body, start) if hinted else ():
        if key == "ttlMs":
            return body[start:a] + body[b:end], a - start
    return body[start:end], -1
