"""What a server says outside of calls: its lists have changed, a resource was updated, a log line.

A modern server says it on a subscription of ours, a legacy one on the stream of its session or on
its pipe. There is one feed for each server; the host fans out to all workers.
"""

import asyncio
import contextlib
import logging
from collections.abc import Hashable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import Asker
from only1mcp.backends.handshake import Hello, modern_request, watch_request
from only1mcp.errors import BackendProtocolError, Only1MCPError, Overloaded
from only1mcp.host.relisting import Relisting
from only1mcp.host.status import Observer
from only1mcp.host.watches import Watches
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields
from only1mcp.protocol.subscriptions import (
    LIST_CHANGED,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATED,
    updated_uri,
)
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import OnEvent, OnOpen

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_NEXT_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_NO_STREAM_PAUSE_S = 60.0
"""How long a server without a stream is left alone: it may get one with an update."""
_RENEWAL_S = 2.0
_STREAM_S = 1.0
"""What ends sooner was no stream: a server that ends each at once has none, and misses none."""
_PATIENCE_S = 0.25
"""How long lists are not read because changes are not heard of yet."""


class Followed(Protocol):
    """A session on which a server can be listened to."""

    async def listen(self, outgoing: Outgoing, on_event: OnEvent) -> None:
        """Hold a modern subscription until it ends."""

    async def follow(self, on_event: OnEvent, *, on_open: OnOpen) -> bool | None:
        """Hold a legacy stream until it ends; says when it is there.

        Returns true when another session has taken the place of the one that it belonged to.
        """


@dataclass(frozen=True, slots=True)
class Hearing:
    """What outlasts a server's single sessions: what to listen for, and whom to tell."""

    server_id: str
    watches: Watches
    observer: Observer
    relisting: Relisting
    tasks: Tasks


class Feed:
    """Listens to one server as long as it is up.

    Args:
        hearing: what to listen for, and whom to tell.
        session: what to listen on.
        asker: takes requests of our own.
        hello: what the server has said of itself.
        is_late: whether its lists are read before anything is heard.
    """

    def __init__(
        self, hearing: Hearing, session: Followed, asker: Asker, hello: Hello, *,
        is_late: bool = False,
    ) -> None:  # fmt: skip
        self._server_id = hearing.server_id
        self._watches = hearing.watches
        self._observer = hearing.observer
        self._relisting = hearing.relisting
        self._tasks = hearing.tasks
        self._session = session
        self._asker = asker
        self._hello = hello
        self.beside: list[Feed] = []
        """Those of the other instances, of which each tells what it knows."""
        self._failure: Only1MCPError | None = None
        self._acknowledged = asyncio.Event()
        self._renew = asyncio.Event()
        self._following = asyncio.Event()
        """Whether a legacy server has a stream to tell on, or none at all."""
        self._listened: frozenset[str] = frozenset()
        """The resources that a modern server tells of now."""
        self._news = asyncio.Condition()
        """Of `_listened`."""
        self._confirming: dict[str, asyncio.Future[Only1MCPError | None]] = {}
        """How the first watch of each resource ends, while that is not known."""
        self._refused: set[str] = set()
        """Resources of which a legacy server told once, and does not want to since its session is
        another: the next who wants to watch one hears what it says."""
        self._missed: set[str] = set()
        """Resources of which updates may have been missed."""
        self._has_gap = is_late
        """Whether changes of lists may have been missed, since they were read."""
        self._is_settled = asyncio.Event()
        """Whether it has turned out if there is anything to hear."""

    async def run(self) -> None:
        """Listen, again whenever it ends, until cancelled."""
        pause_s, loop = _FIRST_PAUSE_S, asyncio.get_running_loop()
        while True:
            self._hears_nothing()
            began = loop.time()
            try:
                if self._hello.era is Era.MODERN:
                    await self._listen()
                else:
                    await self._resubscribe()
                    if await self._session.follow(self.heard, on_open=self._opened):
                        self._has_gap = True
                        continue
                pause_s = _NEXT_PAUSE_S
                self._has_gap |= loop.time() - began > _STREAM_S
            except BackendProtocolError as error:
                _log.debug("nothing to listen to: %s", error, extra={"server": self._server_id})
                self._following.set()  # there is nothing to wait for
                self._has_gap = True
                pause_s = _NO_STREAM_PAUSE_S
            except Only1MCPError as error:
                _log.debug("the stream ended: %s", error, extra={"server": self._server_id})
                self._has_gap = True
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                if pause_s > _RENEWAL_S:
                    self._following.set()  # it would be waited for in vain
            self._is_settled.set()
            await asyncio.sleep(pause_s)

    async def settled(self) -> None:
        """Wait for a moment until changes are heard of; then lists can be read, and none is lost.

        If that comes later, they are read again.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._is_settled.wait()
                return
        self._has_gap = True

    async def _listen(self) -> None:
        """Hold a subscription; when what is watched changes, a new one overlaps the old."""
        current: asyncio.Task[None] | None = None
        try:
            while True:
                self._renew.clear()
                uris, wanted = self._watches.uris, self._wanted()
                if wanted is None:
                    await _end(current)
                    current = None
                    self._acknowledged.set()  # there is nothing that could be
                    await self._listens_to(uris)
                    await self._renew.wait()
                    continue
                self._failure = None
                self._acknowledged.clear()
                opened = self._tasks.spawn(self._hold(wanted))
                try:
                    await self._first(opened, self._acknowledged)
                finally:
                    before, current = current, opened
                    await _end(before)
                await self._listens_to(uris)
                await self._first(current, self._renew)
                if current.done():
                    self._judge()
                    return
        finally:
            await _end(current)

    def _hears_nothing(self) -> None:
        """Note that we are about to listen, for the first time or again."""
        self._following.clear()
        self._listened = frozenset()
        self._missed.update(self._watches.uris)

    async def _listens_to(self, uris: list[str]) -> None:
        """Let those go on who wait for a subscription to these, if it was acknowledged."""
        if not self._acknowledged.is_set():
            return
        async with self._news:
            self._listened = frozenset(uris)
            self._news.notify_all()
        self._tell_missed(self._listened)

    def _opened(self) -> None:
        """Let those go on who wait for a legacy server's stream."""
        self._following.set()
        self._tell_missed(self._missed)

    def _tell_missed(self, heard: AbstractSet[str]) -> None:
        """Have read again what we hear of only now."""
        self._is_settled.set()
        if self._has_gap:
            self._has_gap = False
            self._relisting.look_again()
        for uri in self._missed & heard:
            self._observer.on_updated(self._server_id, uri, orjson.dumps({"uri": uri}))
        self._missed -= heard

    def _judge(self) -> None:
        """Say why a subscription has ended.

        Raises:
            Only1MCPError: it failed, or never was one.
        """
        if self._failure is not None:
            raise self._failure
        if not self._acknowledged.is_set():
            raise BackendProtocolError(f"server {self._server_id} acknowledged no subscription")

    async def _hold(self, subscription: Outgoing) -> None:
        try:
            await self._session.listen(subscription, self.heard)
        except Only1MCPError as error:
            self._failure = error

    async def _first(self, task: "asyncio.Task[None]", event: asyncio.Event) -> None:
        """Wait until the task has ended or the event is set."""
        waiting = self._tasks.spawn(_wait(event))
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _wanted(self) -> Outgoing | None:
        """Write the subscription; None when there is nothing to hear."""
        wanted: dict[str, Any] = {
            f"{kind}ListChanged": True for kind in ("tools", "prompts", "resources")
            if _offers(self._hello, kind, "listChanged")
        }  # fmt: skip
        if self._watches.uris:
            wanted["resourceSubscriptions"] = self._watches.uris
        if not wanted:
            return None
        return modern_request("subscriptions/listen", (("notifications", orjson.dumps(wanted)),))

    def changed(self, method: str) -> None:
        """Have the lists read that the server says have changed (`notifications/<kind>/...`)."""
        self._relisting.note(method)
        self._relisting.start()

    def heard(self, message: Envelope) -> None:
        """Take a notification."""
        method = message.method or ""
        params: bytes = message.body[message.params_start : message.params_end]
        if method == "notifications/subscriptions/acknowledged":
            self._acknowledged.set()
        elif method.endswith(LIST_CHANGED):
            self.changed(method)
        elif method == UPDATED:
            uri = updated_uri(message)
            if uri is not None:
                self._observer.on_updated(self._server_id, uri, params)
        elif method == "notifications/message":
            self._observer.on_logged(self._server_id, params)

    async def subscribe(self, uri: str, holder: Hashable) -> None:
        """Have a resource watched; when this returns the server tells of it.

        A modern server that does not say so is not waited for: once it does, the resource counts
        as updated.

        Raises:
            BackendError: the server refuses, or does not answer.
            Overloaded: too many resources are watched.
        """
        if self._watches.full:
            raise Overloaded(f"too many resources of server {self._server_id} are watched")
        is_first = self._watches.add(uri, holder)
        if is_first or (uri in self._refused and uri not in self._confirming):
            self._confirming[uri] = asyncio.get_running_loop().create_future()
            self._tasks.spawn(self._confirm(uri, self._confirming[uri]))
        elif uri not in self._confirming:
            return
        failure = await asyncio.shield(self._confirming[uri])
        if failure is not None:
            self._watches.remove(uri, holder)
            raise failure

    async def unsubscribe(self, uri: str, holder: Hashable) -> None:
        """Have a resource watched no longer, for this holder.

        Raises:
            BackendError: the server does not answer.
        """
        if self._watches.remove(uri, holder):
            await self.forget([uri])

    async def forget(self, uris: Iterable[str]) -> None:
        """Tell the server that nobody watches some resources any more."""
        if self._hello.era is Era.MODERN:
            self._renew_all()
            return
        for uri in uris:
            with contextlib.suppress(Only1MCPError):  # it tells of them in vain then
                await self._request(UNSUBSCRIBE, uri)
            await self._tell_others(UNSUBSCRIBE, uri)

    async def _confirm(self, uri: str, known: "asyncio.Future[Only1MCPError | None]") -> None:
        """Tell the server that a resource is watched, and wait until it will tell of it."""
        failure = None
        try:
            await (self._ask_legacy(uri) if self._hello.era is Era.LEGACY else self._heard_of(uri))
        except TimeoutError:
            self._missed.add(uri)
        except Only1MCPError as error:
            failure = error
        if self._confirming.get(uri) is known:
            del self._confirming[uri]
        known.set_result(failure)

    async def _ask_legacy(self, uri: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RENEWAL_S):
                await self._following.wait()
        await self._request(SUBSCRIBE, uri)
        self._refused.discard(uri)
        await self._tell_others(SUBSCRIBE, uri)

    async def _tell_others(self, method: str, uri: str) -> None:
        """Tell the other instances; one that does not answer hears of it with its next stream."""
        if self.beside:
            telling = (self._tasks.spawn(one._pass_on(method, uri)) for one in self.beside)
            await asyncio.wait(set(telling), timeout=_RENEWAL_S)

    async def _pass_on(self, method: str, uri: str) -> None:
        with contextlib.suppress(Only1MCPError):
            await self._request(method, uri)

    def _renew_all(self) -> None:
        """Have this instance and the others told what is watched now."""
        for one in (self, *self.beside):
            one._renew.set()

    async def _heard_of(self, uri: str) -> None:
        self._renew_all()
        async with asyncio.timeout(_RENEWAL_S), self._news:
            await self._news.wait_for(lambda: uri in self._listened)

    async def _request(self, method: str, uri: str) -> None:
        reply = await self._asker.request(watch_request(method, uri))
        if not reply.result_end:
            error = fields(reply.body[reply.error_start : reply.error_end])
            text = as_string(error.get("message", b""))
            raise BackendProtocolError(f"server {self._server_id}: {text}")

    async def _resubscribe(self) -> None:
        """Tell a session that may be new what is watched."""
        self._refused.clear()
        for uri in self._watches.uris:
            try:
                await self._request(SUBSCRIBE, uri)
            except BackendProtocolError as error:
                self._refused.add(uri)
                _log.info("not watched now: %s", error, extra={"server": self._server_id})


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _end(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


def _offers(hello: Hello, kind: str, what: str) -> bool:
    capability = hello.capabilities.get(kind)
    return isinstance(capability, dict) and bool(capability.get(what))
