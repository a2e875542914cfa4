"""Stands between the socket and the HTTP parser: refuses what is malformed, too large or too slow.

One guard per connection. It is the transport's protocol; the parser behind it (aiohttp's handler)
is made for its first request, and gets the same transport and only those bytes that passed.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, cast

from only1mcp.errors import ClientError
from only1mcp.ingress.beginning import Beginning
from only1mcp.ingress.held import Held
from only1mcp.ingress.http1 import Framer, Refused, Stage
from only1mcp.ingress.limits import Limits
from only1mcp.ingress.unread import has_unread
from only1mcp.protocol import jsonrpc

_log = logging.getLogger(__name__)
_SLOW, _FULL = 408, 503
_ROOM = "try again in a second; proxy.limits.max_connections says how many there may be"
_FILES = (
    "try again in a second; half of the files that a worker may open are for clients: "
    "raise that limit (ulimit -n, LimitNOFILE= of systemd) and start the gateway again"
)
LINGER_S = 1.0
"""How long a refused client may go on to send: closed at once, it might never see the answer."""


class Connections:
    """Counts a worker's connections against its bound, and has what it holds for them counted.

    Args:
        limit: how many there may be.
        held: counts.
        by_files: whether the limit of open files is what allows no more.
    """

    def __init__(self, limit: int, held: Held | None = None, *, by_files: bool = False) -> None:
        self.held = held or Held()
        self.limit = limit
        self.by_files = by_files
        self.open = 0
        self.fresh: set[Guard] = set()
        """Those of them that have not sent a request yet."""
        self.lingering = 0
        """How many of those that were refused are still given the time to read why."""

    def let_go(self) -> None:
        """Close those on which nothing has come yet."""
        for guard in list(self.fresh):
            guard.let_go()

    @property
    def hint(self) -> str:
        """What is to be done where there are too many."""
        return _FILES if self.by_files else _ROOM

    @property
    def may_linger(self) -> bool:
        """Whether one more may stay that was refused: a crowd of them would take all room."""
        return self.lingering < max(1, self.limit // 4)


class Inner(Protocol):
    """The parser behind the guard, as far as the guard needs it."""

    transport: asyncio.Transport | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Learn that it is gone."""

    def data_received(self, data: bytes) -> None:
        """Take bytes that passed."""

    def pause_writing(self) -> None:
        """Stop writing for now."""

    def resume_writing(self) -> None:
        """Write again."""


class Guard(asyncio.Protocol):
    """Watches one connection.

    Args:
        make_inner: makes the parser.
        limits: what a request may hold, and how long it may take.
        connections: counts this one.
        websocket: the path on which a connection may become a WebSocket; None for none.
    """

    def __init__(
        self, make_inner: Callable[[], Inner], limits: Limits, connections: Connections,
        websocket: bytes | None = None,
    ) -> None:  # fmt: skip
        self._make_inner = make_inner
        self._limits = limits
        self._connections = connections
        self._framer = Framer(limits.max_header, limits.max_body, websocket)
        self._inner: Inner | None = None
        self._beginning = Beginning(connections.held)
        self._is_counted = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.due: float | None = None
        """When the head must be there that another protocol saw begin; None for none."""
        self._stage: tuple[int, bool] | None = None
        """The request that comes in, and whether it is its head; None before the first byte."""
        self._refused = False
        self._lingers = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.open >= self._connections.limit:
            self._refuse(Refused(_FULL, "too many connections", self._connections.hint))
            return
        self._connections.open += 1
        self._connections.fresh.add(self)
        self._is_counted = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.idle_timeout_s, self._transport.close)

    def data_received(self, data: bytes) -> None:
        """Pass on what is in order."""
        if self._refused or self._transport is None:
            return
        try:
            passed = self._framer.feed(data)
        except Refused as refused:
            self._refuse(refused)
            return
        self._watch(self._framer)
        if self._inner is None and passed and not self._beginning.gather(passed, self._framer):
            self._make_parser(self._transport)
        if self._inner is not None and passed:
            self._inner.data_received(passed)

    def _make_parser(self, transport: asyncio.Transport) -> None:
        """Have the first request read, and what is to come."""
        self._connections.fresh.discard(self)
        self._inner = self._make_inner()
        self._inner.connection_made(transport)
        gathered = self._beginning.end()
        if gathered:  # by itself: what comes behind may be wrong, and would spoil it
            self._inner.data_received(gathered)

    def let_go(self) -> None:
        """Close, unless a request is under way."""
        has_begun = not self._framer.idle or self._framer.requests or has_unread(self._transport)
        if self._transport is not None and not has_begun:
            self._transport.close()

    def _watch(self, framer: Framer) -> None:
        """Give a request that has begun its time: its head, then again its body.

        More bytes alone buy no more time, or one byte now and then would do for ever.
        """
        stage = (framer.requests, framer.stage is Stage.HEAD)
        if self._timer is not None and stage == self._stage:
            return
        self._stop_timer()
        self._stage = stage
        due, self.due = self.due, None
        if framer.idle:
            return
        loop = asyncio.get_running_loop()
        if due is None or stage != (0, True):
            due = loop.time() + self._limits.header_timeout_s
        self._timer = loop.call_at(due, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(Refused(_SLOW, "the request comes in too slowly"))

    def _refuse(self, refused: Refused) -> None:
        """Answer and close; silently when an earlier request still has its answer to come."""
        self._refused = True
        self._stop_timer()
        transport = self._transport
        if transport is None:
            return
        _log.info(
            "refused: %s", refused,
            extra={"status": refused.status, "client": _peer(transport)},
        )  # fmt: skip
        if self._answers_another():
            transport.abort()
            return
        if self._inner is not None:  # it would answer as well, behind the end
            # Nor may it close the transport, with the rest of the request unread.
            self._inner.transport = None
        self._part(None)
        transport.write(_response(refused))
        if not self._connections.may_linger:
            transport.close()
            return
        self._connections.lingering += 1
        self._lingers = True
        transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def _answers_another(self) -> bool:
        """Say whether the parser owes an answer to a request other than the one that comes in."""
        inner = self._inner
        owed = len(getattr(inner, "_messages", ())) + getattr(inner, "_request_in_progress", False)
        has_seen_its_head = self._stage is not None and not self._stage[1]
        return owed > has_seen_its_head

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the parser know."""
        self._stop_timer()
        if self._transport is not None:
            self._connections.held.resumed(self._transport)
        self._connections.lingering -= self._lingers
        self._part(exc)
        self._transport = None

    def _part(self, exc: Exception | None) -> None:
        """Count no more, and have the parser end what it does."""
        self._connections.open -= self._is_counted
        self._is_counted = False
        self._connections.fresh.discard(self)
        self._beginning.end()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connection_lost(exc)

    def eof_received(self) -> bool:
        """Close after the client's half: a caller that wants answers keeps listening."""
        return False

    def pause_writing(self) -> None:
        """Pass backpressure on."""
        if self._transport is not None:
            self._connections.held.paused(self._transport)
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of backpressure on."""
        if self._transport is not None:
            self._connections.held.resumed(self._transport)
        if self._inner is not None:
            self._inner.resume_writing()


def _peer(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _response(refused: Refused) -> bytes:
    error = ClientError(str(refused), hint=refused.hint)
    error.code = -32600
    body = jsonrpc.error_from(None, error)
    head = (
        f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    if refused.status == _FULL:
        head += "Retry-After: 1\r\n"
    return head.encode() + b"\r\n" + body
