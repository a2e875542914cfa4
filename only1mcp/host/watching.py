"""What clients watch, on its way from the workers' notes to the servers that tell of it."""

import logging
from collections.abc import Hashable

import orjson

from only1mcp._speedups import scan
from only1mcp.backends.call import ReplySink
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.host.roster import AnyServer, Roster
from only1mcp.links.link import Link
from only1mcp.links.wire import CallFrame
from only1mcp.protocol import jsonrpc
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)


class Watching:
    """Has servers told who watches what."""

    def __init__(self, roster: Roster, tasks: Tasks) -> None:
        self._roster = roster
        self._tasks = tasks

    def take(self, link: Link, note: dict[str, list[str | int]]) -> None:
        """Take a worker's note of a resource or a task that one of its streams watches."""
        for action, (server_id, name, number) in note.items():
            server = self._roster.current(str(server_id))
            if server is None:
                continue
            holder = (link, number)
            if action == "watch_task":
                server.task_watches.watch(str(name), holder)
            elif action == "unwatch_task":
                server.task_watches.unwatch(str(name), holder)
            else:
                method = f"resources/{action.replace('watch', 'subscribe')}"
                self._tasks.spawn(self._watch(server, method, str(name), holder))

    def link_closed(self, link: Link) -> None:
        """Forget the streams of a worker that has gone."""
        for server in self._roster.everyone:
            self._unwatched(server, server.watches.drop_link(link))
            server.task_watches.drop_link(link)

    def session_ended(self, serial: int) -> None:
        """Forget a legacy session that was ended."""
        for server in self._roster.everyone:
            self._unwatched(server, server.watches.drop({serial}))
            server.pool.end_session(serial)

    def _unwatched(self, server: AnyServer, uris: list[str]) -> None:
        """Tell a server what nobody watches any more."""
        if uris and server.feed is not None:
            self._tasks.spawn(server.feed.forget(uris))

    async def _watch(self, server: AnyServer, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer; of a server that is down, once it is back."""
        if server.feed is None:
            server.watches.note(method, uri, holder)
            return
        try:
            await server.watch(method, uri, holder)
        except Only1MCPError as error:
            _log.info("%s: %s", method, error, extra={"server": server.server.id})

    async def subscribe(self, frame: CallFrame, sink: ReplySink) -> None:
        """Carry out a legacy client's `resources/subscribe` or its opposite."""
        params = orjson.loads(frame.params)
        try:
            server = self._roster.get(frame.server_id)
            if server is None:
                raise BackendUnreachable(f"server {frame.server_id} is not run here")
            if server.feed is None and frame.method == "resources/unsubscribe":
                server.watches.remove(params["uri"], frame.session)
            else:
                await server.watch(frame.method, params["uri"], frame.session)
        except Only1MCPError as error:
            sink.on_failure(error)
        else:
            sink.on_reply(scan(jsonrpc.result(b"0", b"{}")))
