"""Accepts on the sockets of workers that are not there, for as long as the supervisor says."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from only1mcp.tasks import Tasks

Accept = Callable[[socket.socket], Awaitable[Sequence[asyncio.AbstractServer]]]


class StandIn:
    """What one worker does besides its own.

    Args:
        known: all sockets, by their places.
        accept: begins to accept on one.
        tasks: where that is done.
    """

    def __init__(self, known: Sequence[socket.socket], accept: Accept, tasks: Tasks) -> None:
        self._known = known
        self._accept = accept
        self._tasks = tasks
        self._servers: dict[int, Sequence[asyncio.AbstractServer]] = {}

    def follow(self, places: int) -> None:
        """Accept in these places, one bit for each, and in no others."""
        for place in range(len(self._known)):
            is_wanted, is_served = bool(places >> place & 1), place in self._servers
            if is_wanted and not is_served:
                self._servers[place] = ()
                self._tasks.spawn(self._open(place, self._known[place]))
            elif is_served and not is_wanted:
                _close(self._servers.pop(place))

    async def _open(self, place: int, sock: socket.socket) -> None:
        if place not in self._servers:
            return
        servers = await self._accept(sock)
        if self._servers.get(place) == ():
            self._servers[place] = servers
        else:  # it was over before it had begun
            _close(servers)

    def close(self) -> None:
        """Stand in for nobody any more, whatever a bell says while we drain."""
        self.follow(0)
        self._known = ()


def _close(servers: Sequence[asyncio.AbstractServer]) -> None:
    for server in servers:
        server.close()
