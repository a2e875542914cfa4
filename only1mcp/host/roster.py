"""The servers that the host holds, as settings come and go.

A server that did not change stays as it is, with its process and its session. One that was changed
goes on until its successor has started, and whoever leaves first ends the calls that it has.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

import aiohttp

from only1mcp.backends.keeper import alone
from only1mcp.host.channel_server import ChannelServer
from only1mcp.host.client_streams import ClientStreams
from only1mcp.host.http_server import HttpServer
from only1mcp.host.session_desk import SessionDesk
from only1mcp.host.status import Observer, ServerState
from only1mcp.memory.instances import Known, unshared
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks, until

AnyServer = ChannelServer | HttpServer
_LOOK_S = 0.02
_OF_ANSWERS = frozenset({"on_lists_changed", "on_outdated", "on_updated", "on_updated_for"})
"""What a predecessor says of its answers is heard as long as it gives any."""
START_S = 60.0
"""How long a successor may take to start until its predecessor goes all the same."""


class Roster:
    """Servers by id, and those that are about to leave.

    Args:
        observer: whom servers tell; nobody hears one that was replaced or removed.
        tasks: runs their work.
        client: for HTTP.
        know: returns what all processes know of an instance.
        desk: shares sessions with the workers.
    """

    def __init__(
        self, observer: Observer, tasks: Tasks, client: aiohttp.ClientSession,
        know: Callable[[str, str], Known] = unshared, desk: SessionDesk | None = None,
    ) -> None:  # fmt: skip
        self.streams = ClientStreams(self._stream_turned)
        self._know = know
        self._desk = desk
        self._observer = observer
        self._tasks = tasks
        self._client = client
        self._level: int | None = None
        self._current: dict[str, AnyServer] = {}
        self._before: dict[str, AnyServer] = {}
        """Predecessors that still take calls, and servers that workers may still know."""
        self._leaving: set[AnyServer] = set()

    def __iter__(self) -> Iterator[AnyServer]:
        return iter(self._current.values())

    @property
    def everyone(self) -> list[AnyServer]:
        """All that have processes or sessions, those that leave included."""
        return [*self._current.values(), *self._leaving]

    def get(self, server_id: str) -> AnyServer | None:
        """Return what takes a call for a server now."""
        current, before = self._current.get(server_id), self._before.get(server_id)
        if before is not None and (current is None or current.status.state is ServerState.STARTING):
            return before
        return current

    def current(self, server_id: str) -> AnyServer | None:
        """Return the server that is configured."""
        return self._current.get(server_id)

    def is_succeeding(self, server_id: str) -> bool:
        """Say whether a server starts while its predecessor serves."""
        return server_id in self._before and server_id in self._current

    def follow(self, servers: Iterable[Server], confirmed: Callable[[], bool]) -> list[AnyServer]:
        """Hold these servers from now on; returns the new ones, which are yet to be started.

        `confirmed` says whether no worker sends calls to removed servers any more.
        """
        old, new = self._current, []
        self._current = {}
        for server in servers:
            known = old.pop(server.id, None)
            if known is not None and known.server.is_like(server):
                known.follow(server)
                self._current[server.id] = known
                continue
            made = self._current[server.id] = self._make(server)
            new.append(made)
            if self._level is not None:
                self._tasks.spawn(made.lower_level(self._level))
            if known is not None:
                made.watches.inherit(known.watches.everything)
                made.pool.beside.inherit(known.pool.beside)
                self._dismiss(known, partial(self._has_started, server.id))
        for removed in old.values():
            self._dismiss(removed, confirmed)
        return new

    async def lower_level(self, level: int) -> None:
        """Have all servers log from this severity on, those that come later, too."""
        self._level = level if self._level is None else min(level, self._level)
        await asyncio.gather(*(server.lower_level(level) for server in self.everyone))

    def _make(self, server: Server) -> AnyServer:
        def is_heard(what: str) -> bool:
            serves = what in _OF_ANSWERS and self._before.get(server.id) is made
            return serves or self._current.get(server.id) is made

        made: AnyServer
        observer = _gated(self._observer, is_heard)
        if server.transport == "http":
            made = HttpServer(
                server, observer, self._tasks, self._client, self._know,
                alone if self._desk is None else self._desk.keeper,
            )  # fmt: skip
        else:
            made = ChannelServer(server, observer, self._tasks, self._client, self._know)
        made.pool.streams = self.streams
        return made

    def _stream_turned(self, serial: int) -> None:
        """Have a session's connections use the stream that its client has now."""
        for server in self.everyone:
            server.pool.stream_turned(serial)

    def _dismiss(self, server: AnyServer, may_go: Callable[[], bool]) -> None:
        server_id = server.server.id
        if server_id not in self._before or server.status.state is not ServerState.STARTING:
            self._before[server_id] = server  # one that has not come to serve takes nobody's place
        self._leaving.add(server)
        self._tasks.spawn(self._leave(server, may_go))

    def _has_started(self, server_id: str) -> bool:
        current = self._current.get(server_id)
        return current is None or current.status.state is not ServerState.STARTING

    async def _leave(self, server: AnyServer, may_go: Callable[[], bool]) -> None:
        """Serve as long as needed, let calls under way end, and stop."""
        server_id = server.server.id

        def may_drain() -> bool:
            return self._before.get(server_id) is not server or may_go()

        await until(may_drain, START_S, _LOOK_S)
        if self._before.get(server_id) is server:
            del self._before[server_id]
            self._observer.on_lists_changed(server_id)  # what it answered is not its successor's
        if isinstance(server, HttpServer) and self._desk is not None:
            for session in server.sessions:
                self._desk.retire(session)
        current = self._current.get(server_id)
        if current is not None:
            current.pool.watches.inherit(server.pool.watches)
            current.pool.resume()
        await until(lambda: not server.busy, server.server.timeout_s, _LOOK_S)
        await server.stop()
        self._leaving.discard(server)


def _gated(observer: Observer, is_heard: Callable[[str], bool]) -> Observer:
    """Return an observer that hears of each thing only while it is to."""

    def gate(name: str) -> Callable[..., Any]:
        tell = getattr(observer, name)
        return lambda *what: tell(*what) if is_heard(name) else None

    return Observer(*(gate(field.name) for field in fields(observer)))
