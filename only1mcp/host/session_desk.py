"""The sessions with legacy HTTP servers that the host opens for all processes.

There is one for each address of a server: what the server says on it, after a call or without one,
is heard on its stream here, whichever worker made the call. Workers are told of a session before
they hear what its server offers. One that is replaced is ended when no worker uses it any more. A
host that was killed leaves its sessions with the workers, and the next one goes on with them.
"""

import contextlib
from collections.abc import Callable, Collection
from typing import Any

import orjson

from only1mcp._speedups import scan
from only1mcp.backends.call import ReplySink
from only1mcp.backends.keeper import Keeping, key_of
from only1mcp.backends.opened import Opened
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link
from only1mcp.protocol import jsonrpc
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks, until

_HANDOVER_S, _LOOK_S = 1.0, 0.01
"""The longest that a host that was started again waits for workers before it opens sessions."""


class SessionDesk:
    """Tells workers of sessions, and hears of them what they need and use.

    Args:
        take_ids: returns the first of so many ids that no process has used.
        links: the workers.
        tasks: runs what nobody waits for.
    """

    def __init__(self, take_ids: Callable[[int], int], links: set[Link], tasks: Tasks) -> None:
        self._tasks = tasks
        self.take_ids = take_ids
        self._links = links
        self._standings: dict[str, Keeping] = {}
        """Who opens sessions, by what they are known by."""
        self._told: dict[str, Opened] = {}
        """What the workers use now."""
        self._users: dict[tuple[str, str], set[Link]] = {}
        """Who uses a session, by what it is known by and its id."""
        self._informed: set[Link] = set()
        """The workers that have said which sessions they go on with."""

    def keeper(self, server: Server, url: str) -> "DeskKeeper":
        """Return what keeps the sessions with one address of a server."""
        return DeskKeeper(self, key_of(server, url))

    def enter(self, key: str, standing: Keeping) -> None:
        """Have somebody open sessions from now on, instead of who did."""
        self._standings[key] = standing

    def leave(self, key: str, standing: Keeping) -> None:
        """Learn that somebody opens none any more."""
        if self._standings.get(key) is standing:
            del self._standings[key]

    def announce(self, key: str, standing: Keeping, opened: Opened) -> None:
        """Tell the workers which session to use, unless somebody else says that by now."""
        session_id = opened.session_id or ""
        if self._standings.get(key) is standing and session_id.isascii():
            self._told[key] = opened
            self._users[key, session_id] = set(self._links)
            self._broadcast(_news(key, opened))

    def is_free(self, key: str, opened: Opened) -> bool:
        """Say whether no worker uses a session."""
        return (key, opened.session_id or "") not in self._users

    def _left(self, link: Link, key: str, session_id: str) -> None:
        users = self._users.get((key, session_id), set())
        users.discard(link)
        if not users:
            self._users.pop((key, session_id), None)

    def retire(self, standing: Keeping) -> None:
        """Have workers leave a session that is about to be ended."""
        for key, opened in list(self._told.items()):
            if opened is standing.opened:
                del self._told[key]
                self._broadcast({"session_retired": [key, opened.session_id]})

    def greet(self, link: Link) -> None:
        """Tell a worker that has just come."""
        for key, opened in self._told.items():
            self._users.setdefault((key, opened.session_id or ""), set()).add(link)
            link.send(Kind.EVENT, 0, orjson.dumps(_news(key, opened)))

    def link_closed(self, link: Link) -> None:
        """Learn that a worker has gone."""
        self._informed.discard(link)
        for key, session_id in list(self._users):
            self._left(link, key, session_id)

    def take(self, link: Link, note: dict[str, Any]) -> None:
        """Take a worker's note of a session that it has left, or of all that it goes on with."""
        if "session_left" in note:
            key, session_id = note["session_left"]
            self._left(link, key, session_id or "")
            return
        for key, plain in note["sessions_held"].items():
            self._continue(link, key, plain)
        self._informed.add(link)

    def _continue(self, link: Link, key: str, plain: dict[str, Any]) -> None:
        """Go on with a session that a host before us has opened, if we have opened none."""
        standing, told = self._standings.get(key), self._told.get(key)
        opened = Opened.from_plain(plain, is_shared=False)
        users = self._users.setdefault((key, opened.session_id or ""), set())
        users.add(link)
        if standing is not None and opened.level is not None:
            self._tasks.spawn(self._keep_level(standing, opened.level))
        if standing is not None and (told is None or told.session_id != opened.session_id):
            if standing.opened is None:
                standing.adopt(opened)
                self.announce(key, standing, opened)
            else:
                standing.dismiss(opened)

    async def _keep_level(self, standing: Keeping, level: int) -> None:
        """Have a server log no less than a worker knows it to."""
        with contextlib.suppress(Only1MCPError):
            await standing.lower_level(level)

    async def serve(self, params: bytes, sink: ReplySink) -> None:
        """Do what a worker asks: open a session, or have a server log more on it."""
        wish = orjson.loads(params)
        try:
            standing = self._standings.get(wish["key"])
            if standing is None:
                raise BackendUnreachable("the server is not run here")
            if "level" in wish:
                await standing.lower_level(wish["level"])
            else:
                await standing.confirm(wish["forgotten"])
        except Only1MCPError as error:
            sink.on_failure(error)
        else:
            sink.on_reply(scan(jsonrpc.result(b"0", b"{}")))

    async def hear_of_the_last(self, workers: Callable[[], Collection[int]]) -> None:
        """Wait until all workers have said with which sessions of a host before us they go on."""
        await until(lambda: len(self._informed) >= len(workers()), _HANDOVER_S, _LOOK_S)

    def _broadcast(self, event: dict[str, Any]) -> None:
        for link in self._links:
            link.send(Kind.EVENT, 0, orjson.dumps(event))


class DeskKeeper:
    """Implements `Keeper` for who opens sessions for others."""

    def __init__(self, desk: SessionDesk, key: str) -> None:
        self._desk = desk
        self._key = key
        self.take_ids = desk.take_ids

    def attach(self, standing: Keeping) -> Opened | None:
        """Have sessions opened by it from now on."""
        self._desk.enter(self._key, standing)
        return None

    def detach(self, standing: Keeping) -> None:
        """Have it open none any more."""
        self._desk.leave(self._key, standing)

    async def find(self, standing: Keeping, forgotten: Opened | None) -> Opened | None:
        """Find none: it is ours to open."""

    def began(self, standing: Keeping, opened: Opened) -> None:
        """Tell the workers."""
        self._desk.announce(self._key, standing, opened)

    def is_free(self, opened: Opened) -> bool:
        """Say whether the workers have left it."""
        return self._desk.is_free(self._key, opened)

    async def wants(self, standing: Keeping, level: int) -> None:
        """Do nothing: all sessions are our own."""


def _news(key: str, opened: Opened) -> dict[str, Any]:
    return {"session": key, **opened.to_plain()}
