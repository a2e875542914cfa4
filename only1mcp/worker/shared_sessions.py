"""The sessions with legacy HTTP servers that the host opens, as a worker uses them.

A session of the host's is known by an address; calls go on it from here with ids that no other
process uses. Where the host has opened none yet, or the server has forgotten it, the host is asked
for another. While there is no host the worker opens one of its own, which it ends once the host
has one.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from only1mcp.backends.call import Outgoing, ask
from only1mcp.backends.host_link import HostLink
from only1mcp.backends.keeper import Keeping, key_of
from only1mcp.backends.opened import Opened
from only1mcp.errors import BackendTimeout, BackendUnreachable, Only1MCPError
from only1mcp.links.wire import SESSION
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks, until

_LONGEST_S, _LOOK_S = 3600.0, 0.02


class SharedSessions:
    """What the host has told us, and who uses it.

    Args:
        link: leads to the host.
        take_ids: returns the first of so many ids that no process has used.
        tasks: runs what nobody waits for.
    """

    def __init__(self, link: HostLink, take_ids: Callable[[int], int], tasks: Tasks) -> None:
        self._link = link
        self._tasks = tasks
        self.take_ids = take_ids
        self.told: dict[str, Opened] = {}
        """The session to use, by what it is known by."""
        self.standings: dict[str, set[Keeping]] = {}
        self.is_on_lane: Callable[[Opened], bool] = lambda opened: False
        """Says whether calls of the fast lane are under way on a session."""
        self._level: int | None = None

    def keeper(self, server: Server, url: str) -> "SharedKeeper":
        """Return what keeps the sessions with one address of a server."""
        return SharedKeeper(self, key_of(server, url), 2 * server.handshake_timeout_s)

    def take(self, event: dict[str, Any]) -> None:
        """Take what the host tells of a session, or of how much servers are to log on all."""
        if "log_level" in event:
            self._level = event["log_level"]
            return
        if "session_retired" in event:
            key, session_id = event["session_retired"]
            told = self.told.get(key)
            if told is not None and told.session_id == session_id:
                del self.told[key]
                for standing in self.standings.get(key, ()):
                    standing.lose(told)
                self._tasks.spawn(self._leave(key, told))
            return
        key, before = event["session"], self.told.get(event["session"])
        if before is not None and before.session_id == event["session_id"] is not None:
            return  # a new host goes on with it
        opened = self.told[key] = Opened.from_plain(event, is_shared=True)
        for standing in list(self.standings.get(key, ())):
            standing.adopt(opened)
        if before is not None:
            self._tasks.spawn(self._leave(key, before))

    async def _leave(self, key: str, opened: Opened) -> None:
        """Tell the host when we use a session no more."""

        def is_left() -> bool:
            users = self.standings.get(key, ())
            return self.is_free(opened) and all(one.opened is not opened for one in users)

        await until(is_left, _LONGEST_S, _LOOK_S)
        self._link.note({"session_left": [key, opened.session_id]})

    def is_free(self, opened: Opened) -> bool:
        """Say whether no calls are under way on a session."""
        return not opened.under_way and not self.is_on_lane(opened)

    def want_level(self, level: int) -> None:
        """Have all servers log from this severity on, for a client that listens to them all."""
        if self._level is None or level < self._level:
            self._level = level
            self._link.note({"level": level})

    def greet(self) -> None:
        """Tell a host that has just come with what it goes on, if it opens nothing else."""
        held = {key: opened.to_plain() for key, opened in self.told.items()}
        self._link.note({"sessions_held": held})
        if self._level is not None:
            self._link.note({"level": self._level})

    async def ask(self, wish: dict[str, Any], timeout_s: float) -> None:
        """Ask the host for something.

        Raises:
            Only1MCPError: it is not there, or cannot do it.
        """
        if not self._link.is_open:
            raise BackendUnreachable("the process that opens sessions is not there")
        outgoing = Outgoing(SESSION, orjson.dumps(wish), Era.LEGACY)
        try:
            async with asyncio.timeout(timeout_s):
                await ask(partial(self._link.call, ""), outgoing)
        except TimeoutError:
            raise BackendTimeout(f"no session within {timeout_s:g} s") from None


class SharedKeeper:
    """Implements `Keeper` for who goes on with what the host has opened."""

    def __init__(self, shared: SharedSessions, key: str, timeout_s: float) -> None:
        self._shared = shared
        self._key = key
        self._timeout_s = timeout_s
        self.take_ids = shared.take_ids

    def attach(self, standing: Keeping) -> Opened | None:
        """Have it told of other sessions; return the present one."""
        self._shared.standings.setdefault(self._key, set()).add(standing)
        return self._shared.told.get(self._key)

    def detach(self, standing: Keeping) -> None:
        """Tell it of none any more."""
        users = self._shared.standings.get(self._key, set())
        users.discard(standing)
        if not users:
            self._shared.standings.pop(self._key, None)

    async def find(self, standing: Keeping, forgotten: Opened | None) -> Opened | None:
        """Ask the host for one."""
        unknown = forgotten.session_id if forgotten is not None and forgotten.is_shared else None
        try:
            await self._shared.ask({"key": self._key, "forgotten": unknown}, self._timeout_s)
        except Only1MCPError:
            return None
        return self._shared.told.get(self._key)

    def began(self, standing: Keeping, opened: Opened) -> None:
        """Tell nobody: it is for ourselves."""

    def is_free(self, opened: Opened) -> bool:
        """Say whether our calls on it have ended."""
        return self._shared.is_free(opened)

    async def wants(self, standing: Keeping, level: int) -> None:
        """Have the host ask for it, which knows what others want."""
        await self._shared.ask({"key": self._key, "level": level}, self._timeout_s)
