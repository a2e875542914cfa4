"""Who is to hear that something has changed: streams of legacy sessions, and modern subscriptions.

The host tells every worker; each worker tells the clients whose streams it holds. A legacy session
has one stream at a time: the newest, in whatever worker (2025-11-25, basic/transports: no message
on several streams).
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import orjson

from only1mcp._speedups import Envelope
from only1mcp.auth.principal import ANYONE, Principal
from only1mcp.backends.call import NOTHING, Cancel
from only1mcp.errors import Only1MCPError, Overloaded, Unauthenticated
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.log_levels import level_of
from only1mcp.protocol.raw_object import with_field
from only1mcp.protocol.subscriptions import KINDS, UPDATED, list_changed, read_wanted
from only1mcp.protocol.task_members import CHANGED
from only1mcp.proxy.exchange import Answer, Exchange
from only1mcp.proxy.listener import Listener
from only1mcp.proxy.outbound import client_features
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.proxy.task_relay import session_notice
from only1mcp.proxy.task_subscription import honoured_tasks
from only1mcp.registry.edition import Edition
from only1mcp.routing.router import route_uri
from only1mcp.sessions.session import Session
from only1mcp.sessions.watch_book import Place

MAX_STREAMS = 10_000
ACKNOWLEDGE_S = 1.0
"""How long a subscription waits for servers that have to be told of it first."""
PIECE, MAX_PIECE, PAUSE_S = 64 * 1024, 64, 0.05
"""Bytes and messages at a time of what may have been missed, and how long after another."""
_TAG = "io.modelcontextprotocol/subscriptionId"


class Watcher(Protocol):
    """The host, as far as it is told which resources are watched."""

    def watch(self, server_id: str, uri: str, holder: int, caller: tuple[str, int]) -> None:
        """Have a resource watched for one of our streams: whose, and what it can be asked."""

    def unwatch(self, server_id: str, uri: str, holder: int) -> None:
        """Take that back."""

    def subscribed(self, serial: int) -> Iterable[Place]:
        """Return what a legacy session has subscribed to."""

    def watch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Have a task of 2026-07-28 watched for one of our streams."""

    def unwatch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Take that back."""

    def attend(
        self, session: Session, send: Callable[[bytes], None], allows: Callable[[str], bool]
    ) -> Cancel:
        """Have a session's stream take what servers that are allowed ask outside of calls."""


class Audience:
    """The listening streams of one worker."""

    def __init__(
        self, number: int, edition: Edition, marks: SessionMarks, wall: Callable[[], int],
        watcher: Watcher, task_ids: TaskIds,
    ) -> None:  # fmt: skip
        self._task_ids = task_ids
        self._edition = edition
        self._marks = marks
        self._wall = wall
        self._watcher = watcher
        self._numbers = itertools.count((number + 1) << 40)
        """No other worker counts from there."""
        self._listeners: set[Listener] = set()
        self._closed = False

    def follow(
        self, session: Session, exchange: Exchange, principal: Principal = ANYONE, *,
        instead: bool = False,
    ) -> Cancel:  # fmt: skip
        """Open the stream of a legacy session; it is the session's one from now on.

        Args:
            session: whose.
            exchange: where it goes.
            principal: who follows it.
            instead: whether it replaces one that was lost, with whatever that had to tell.
        """
        listener = self._add(
            Listener(next(self._numbers), exchange, principal, session, features=session.features)
        )
        self._marks.set_stream(session.serial, session.expires, listener.number, self._wall())
        exchange.open()
        if instead:
            places = self._watcher.subscribed(session.serial)
            self._tell_again(listener, listener.all_that_changed(places))
        self._attend(listener)
        if self._closed:
            self.close()
        return lambda: self._remove(listener)

    def _tell_again(self, listener: Listener, messages: Iterator[bytes]) -> None:
        """Tell a piece of what may have been missed, and then the rest: no buffer has room for all.

        Each message counts as something: clients have to be able to return in the midst of it.
        """
        size, loop = 0, asyncio.get_running_loop()
        for message in () if self._has_successor(listener) else messages:
            listener.exchange.send(message)
            size += max(len(message), PIECE // MAX_PIECE)
            if size >= PIECE:
                listener.timer = loop.call_later(PAUSE_S, self._tell_again, listener, messages)
                return

    def listen(self, inbound: Inbound, exchange: Exchange, principal: Principal = ANYONE) -> Cancel:
        """Open the stream of a modern subscription (2026-07-28, basic/patterns/subscriptions).

        Raises:
            InvalidParams: what it is to tell of is not said properly.
            Overloaded: there are too many streams.
        """
        kinds, uris, task_ids = read_wanted(inbound.envelope)
        snapshot = self._edition.view(NOTHING, principal.grant)
        tasks = honoured_tasks(inbound, task_ids, snapshot, self._task_ids)
        owners: dict[str, str] = {}
        for uri in uris:
            try:
                owners[uri] = route_uri(uri, snapshot).server_ids[0]
            except Only1MCPError:
                continue  # what nobody has is not among the honoured
        request_id = inbound.envelope.id or b"null"
        listener = self._add(
            Listener(
                next(self._numbers), exchange, principal, None, request_id, kinds, owners, tasks,
                client_features(inbound, None),
            )
        )  # fmt: skip
        listener.awaited.update(owners)
        listener.held = []
        if owners:
            loop = asyncio.get_running_loop()
            listener.timer = loop.call_later(ACKNOWLEDGE_S, self._acknowledge, listener)
        else:
            self._acknowledge(listener)
        self._watch(listener)
        if self._closed:
            self.close()
        return lambda: self._remove(listener)

    def _acknowledge(self, listener: Listener) -> None:
        """Say what is honoured, and then what was to be told meanwhile."""
        held, listener.held = listener.held, None
        if listener.timer is not None:
            listener.timer.cancel()
        if held is not None:
            for message in (listener.acknowledgement(), *held):
                listener.exchange.send(message)

    def watching(self, server_id: str, uri: str, number: int, honoured: bool) -> None:
        """Learn that the host hears of a resource, or that its server does not want to tell.

        A client that was acknowledged before may have missed an update: it is told of one.
        """
        listener = next((one for one in self._listeners if one.number == number), None)
        if listener is None or listener.uris.get(uri) != server_id:
            return
        if not honoured:
            del listener.uris[uri]
        elif listener.held is None:
            listener.tell(UPDATED, orjson.dumps({"uri": uri}))
        listener.awaited.discard(uri)
        if not listener.awaited:
            self._acknowledge(listener)

    def _watch(self, listener: Listener) -> None:
        for uri, server_id in list(listener.uris.items()):
            self._watcher.watch(server_id, uri, listener.number, listener.caller)
        for server_id, task_id in listener.tasks:
            self._watcher.watch_task(server_id, task_id, listener.number)

    def _attend(self, listener: Listener) -> None:
        """Let servers ask on a stream whose client can be asked."""
        session = listener.session
        if session is not None and session.features:
            listener.leave()
            listener.leave = self._watcher.attend(session, listener.exchange.send, listener.allows)

    def _add(self, listener: Listener) -> Listener:
        if len(self._listeners) >= MAX_STREAMS:
            raise Overloaded("too many streams are open")
        self._listeners.add(listener)
        return listener

    def _remove(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.discard(listener)
            listener.leave()
            if listener.timer is not None:
                listener.timer.cancel()
            self._unmark(listener)
            for uri, server_id in listener.uris.items():
                self._watcher.unwatch(server_id, uri, listener.number)
            for server_id, task_id in listener.tasks:
                self._watcher.unwatch_task(server_id, task_id, listener.number)

    def _unmark(self, listener: Listener) -> None:
        """Note that a session has no stream any more, unless it has another."""
        session = listener.session
        if session is not None and not self._has_successor(listener):
            self._marks.set_stream(session.serial, session.expires, 0, self._wall())

    def serials(self) -> list[int]:
        """Return the legacy sessions that have a stream here."""
        return [one.session.serial for one in self._listeners if one.session is not None]

    def rewatch(self) -> None:
        """Tell a new host what the one before it knew."""
        for listener in self._current(None):
            self._watch(listener)
            self._attend(listener)

    def changed(
        self, kinds: frozenset[str], server_id: str | None = "",
        concerns: Callable[[Feature], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        """Tell who wants to know that a server's lists have changed, of clients that it concerns.

        Here and below an empty name is for those alone for whom everything exists; none is for all.
        """
        for kind in sorted(kinds):
            for listener in self._current(server_id):
                if kind in listener.kinds and concerns(listener.features):
                    listener.tell(list_changed(kind), b"")

    def updated(
        self, uri: str, params: bytes, serials: frozenset[int], server_id: str = "",
        caller: tuple[str, int] | None = None,
    ) -> None:  # fmt: skip
        """Tell who watches a resource that it was updated; of its own connection one alone."""
        for listener in self._current(server_id):
            one = listener.session
            hears = listener.watches(server_id, uri) if one is None else one.serial in serials
            if hears and caller in (None, listener.caller):
                listener.tell(UPDATED, params)

    def task_changed(self, server_id: str, task_id: str, params: bytes) -> None:
        """Tell who watches a task of 2026-07-28 what its server says of it."""
        for listener in self._current(server_id):
            ours = listener.tasks.get((server_id, task_id))
            if ours is not None:
                listener.tell(CHANGED, with_field(params, "taskId", orjson.dumps(ours)))

    def said(self, server_id: str, serial: int, message: Envelope) -> None:
        """Tell a legacy session what a server said on the session's own connection."""
        for listener in self._current(server_id):
            session = listener.session
            if session is not None and session.serial == serial:
                level = self._marks.level(serial) or 0
                notice = session_notice(self._task_ids, session, server_id, message, level)
                if notice is not None:
                    listener.exchange.send(notice)

    def logged(self, params: bytes, server_id: str = "") -> None:
        """Pass on a log message that belongs to no call; modern clients do not hear of such.

        Where callers have keys nobody does: it may tell of what another one has done.
        """
        severity = level_of(params)
        for listener in self._current(server_id):
            session = listener.session
            if session is None or listener.principal.id:
                continue
            if severity >= (self._marks.level(session.serial) or 0):
                listener.tell("notifications/message", params)

    def _current(self, server_id: str | None) -> list[Listener]:
        """Return who may hear of a server, without streams that have a successor elsewhere."""
        for listener in list(self._listeners):
            if self._has_successor(listener):
                self._remove(listener)
                listener.exchange.end()
        return [
            one for one in self._listeners
            if server_id is None or one.allows(server_id)
        ]  # fmt: skip

    def _has_successor(self, listener: Listener) -> bool:
        session = listener.session
        return session is not None and self._marks.stream(session.serial) != listener.number

    def admit_again(self, check: Callable[[Principal], Principal]) -> None:
        """Look again who may listen, and to what: other keys are in force."""
        for listener in list(self._listeners):
            try:
                listener.principal = check(listener.principal)
            except Unauthenticated:
                self._remove(listener)
                listener.exchange.end()
        self.changed(KINDS, None)

    def close(self) -> None:
        """End all streams properly, and those that are still opened: the worker stops."""
        self._closed = True
        for listener in list(self._listeners):
            self._remove(listener)
            if listener.session is not None:
                listener.exchange.end()
                continue
            self._acknowledge(listener)
            done = (orjson.dumps(_TAG), listener.subscription)
            result = b'{"resultType":"complete","_meta":{%b:%b}}' % done
            answer = Answer(200, jsonrpc.result(listener.subscription, result))
            asyncio.get_running_loop().call_soon(listener.exchange.answer, answer)
