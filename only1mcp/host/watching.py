"""What clients watch, on its way from the workers' notes to the servers that tell of it."""

import logging
from collections.abc import Callable, Iterable
from functools import partial

import orjson

from only1mcp._speedups import scan
from only1mcp.backends.call import ReplySink
from only1mcp.errors import BackendProtocolError, BackendUnreachable, Only1MCPError, Overloaded
from only1mcp.host.roster import AnyServer, Roster
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link
from only1mcp.links.wire import CallFrame
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import MAX_URIS, SUBSCRIBE, UNSUBSCRIBE
from only1mcp.sessions.watch_book import Place
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
Holder = tuple[Link, int]
"""A stream of a worker, by its number."""


class Watching:
    """Has servers told who watches what.

    Args:
        roster: the servers.
        tasks: runs what takes time.
        is_open: says whether a worker is still there.
        on_updated: takes a server's id, the URI of a resource that was updated, and what is said.
    """

    def __init__(
        self, roster: Roster, tasks: Tasks, is_open: Callable[[Link], bool],
        on_updated: Callable[[str, str, bytes], None],
    ) -> None:  # fmt: skip
        self._on_updated = on_updated
        self._roster = roster
        self._tasks = tasks
        self._is_open = is_open
        self._pending: set[tuple[str, Holder]] = set()
        """What servers are being told of."""

    def take(self, link: Link, note: dict[str, list[str | int]]) -> None:
        """Take a worker's note of a resource or a task that one of its streams watches."""
        for action, (server_id, name, number, *caller) in note.items():
            server = self._roster.current(str(server_id))
            if server is None:
                continue
            holder = (link, int(number))
            if action == "watch_task":
                server.task_watches.watch(str(name), holder)
            elif action == "unwatch_task":
                server.task_watches.unwatch(str(name), holder)
            elif action == "watch":
                self._pending.add((str(name), holder))
                self._tasks.spawn(self._watch(server, str(name), holder, caller))
            elif action == "unwatch":
                self._pending.discard((str(name), holder))
                server.pool.beside.remove(str(name), holder)
                if server.watches.remove(str(name), holder):
                    self._unwatched(server, [str(name)])

    def link_closed(self, link: Link) -> None:
        """Forget the streams of a worker that has gone."""
        for server in self._roster.everyone:
            self._unwatched(server, server.watches.drop_link(link))
            server.task_watches.drop_link(link)
            server.pool.beside.drop_link(link)

    def session_ended(self, serial: int) -> None:
        """Forget a legacy session that was ended."""
        self.let_go(serial)
        for server in self._roster.everyone:
            server.pool.end_session(serial)

    def let_go(self, serial: int) -> None:
        """Have a legacy session watch nothing any more."""
        for server in self._roster.everyone:
            self._unwatched(server, server.watches.drop({serial}))
            server.pool.let_go(serial)

    def forget(self, serial: int, place: Place) -> None:
        """Have a legacy session watch a resource no more: its client has said so elsewhere."""
        server_id, uri = place
        server = self._roster.current(server_id)
        if server is not None:
            server.pool.forget(serial, uri)
            if server.watches.remove(uri, serial):
                self._unwatched(server, [uri])

    def lower_level(self, level: int) -> None:
        """Have all servers log from this severity on."""
        self._tasks.spawn(self._roster.lower_level(level))

    def is_known(self, server_id: str) -> bool:
        """Say whether a server is configured."""
        return self._roster.current(server_id) is not None

    def watch_again(
        self, serial: int, features: Feature, places: Iterable[Place], *, starts: bool,
        is_wanted: Callable[[int, Place], bool], refused: Callable[[int, Place], None],
    ) -> None:  # fmt: skip
        """Have a session watch what it did when another host was there.

        Servers that are about to start do so then: by that time there are workers to tell. What is
        not wanted any more once a server was told is taken back. A server that does not answer is
        told when it listens to us again; `refused` hears of one that does not want to tell.
        """
        own = set[AnyServer]()
        for server_id, uri in places:
            server = self._roster.current(server_id)
            if server is None:
                continue
            if features:
                server.pool.watches.add(serial, features, uri)
                own.add(server)
            elif server.feed is None:
                server.watches.note(SUBSCRIBE, uri, serial)
            else:
                one = serial, (server_id, uri)
                wanted, refuse = partial(is_wanted, *one), partial(refused, *one)
                self._tasks.spawn(self._watch_again(server, uri, serial, wanted, refuse))
        for server in () if starts else own:
            server.pool.watch_again(serial)

    async def _watch_again(
        self, server: AnyServer, uri: str, serial: int, is_wanted: Callable[[], bool],
        refuse: Callable[[], None],
    ) -> None:  # fmt: skip
        """Have a resource watched whose server is up already; what was missed counts as updated."""
        if not is_wanted():
            return
        try:
            await server.watch(SUBSCRIBE, uri, serial)
        except (BackendProtocolError, Overloaded) as error:
            _log.info("not watched any more: %s", error, extra={"server": server.server.id})
            if is_wanted():
                refuse()
            return
        except Only1MCPError as error:
            _log.info("not watched yet: %s", error, extra={"server": server.server.id})
            if is_wanted():
                server.watches.note(SUBSCRIBE, uri, serial)
            return
        if is_wanted():
            self._on_updated(server.server.id, uri, orjson.dumps({"uri": uri}))
        else:
            self.forget(serial, (server.server.id, uri))

    def _unwatched(self, server: AnyServer, uris: list[str]) -> None:
        """Tell a server what nobody watches any more."""
        if uris and server.feed is not None:
            self._tasks.spawn(server.feed.forget(uris))

    async def _watch(
        self, server: AnyServer, uri: str, holder: Holder, caller: list[str | int]
    ) -> None:
        """Have a resource watched, and tell the worker; of a server that is down it will be."""
        wish, honoured = (uri, holder), True
        if not self._is_wanted(wish):
            return
        try:
            if server.feed is not None:
                await server.feed.subscribe(uri, holder)
            else:
                server.watches.note(SUBSCRIBE, uri, holder)
        except (BackendProtocolError, Overloaded) as error:
            _log.info("not watched: %s", error, extra={"server": server.server.id})
            honoured = False
        except Only1MCPError as error:
            _log.info("not watched yet: %s", error, extra={"server": server.server.id})
            if self._is_wanted(wish):
                server.watches.note(SUBSCRIBE, uri, holder)
        principal, features = caller
        if features and honoured and self._is_wanted(wish):
            server.pool.watch((str(principal), int(features)), uri, holder)
        self._pending.discard(wish)
        link, number = holder
        event = {"watching": [server.server.id, uri, number, honoured]}
        link.send(Kind.EVENT, 0, orjson.dumps(event))

    def _is_wanted(self, wish: tuple[str, Holder]) -> bool:
        return wish in self._pending and self._is_open(wish[1][0])

    def refuses(self, frame: CallFrame, sink: ReplySink) -> bool:
        """Refuse a subscription of a session that watches as much as it may."""
        if frame.method != SUBSCRIBE:
            return False
        serial, uri = frame.session, orjson.loads(frame.params)["uri"]
        servers = list(self._roster)
        count = sum(one.watches.count(serial) + one.pool.watches.count(serial) for one in servers)
        if count < MAX_URIS or any(
            one.watches.has(uri, serial) or uri in one.pool.watches.uris(serial) for one in servers
        ):
            return False
        sink.on_failure(
            Overloaded(
                f"this session watches {count} resources, as many as it may",
                hint=f"send {UNSUBSCRIBE} for some of them first",
            )
        )
        return True

    async def subscribe(self, frame: CallFrame, sink: ReplySink) -> None:
        """Carry out a legacy client's `resources/subscribe` or its opposite."""
        params = orjson.loads(frame.params)
        try:
            server = self._roster.get(frame.server_id)
            if server is None:
                raise BackendUnreachable(f"server {frame.server_id} is not run here")
            if server.feed is None and frame.method == UNSUBSCRIBE:
                server.watches.remove(params["uri"], frame.session)
            else:
                await server.watch(frame.method, params["uri"], frame.session)
        except Only1MCPError as error:
            sink.on_failure(error)
        else:
            sink.on_reply(scan(jsonrpc.result(b"0", b"{}")))
