"""The fast lane's own link to the host."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from only1mcp._speedups import HostLine
from only1mcp.links.link import is_ours
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import CONNECT_S

_RETRY_S = 0.05


class LaneLink:
    """Connects, and connects again whenever the link breaks.

    While there is no link, calls take the common way, which waits for a host that is being
    replaced.
    """

    def __init__(self, lane: Any, path: Path, tasks: Tasks) -> None:
        self.line = HostLine(lane, is_ours)
        self._path = path
        self._tasks = tasks
        self._ended = False

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if not self._ended:
            self._tasks.spawn(self._connect())

    def close(self) -> None:
        """Break the link for good."""
        self._ended = True
        self.line.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.create_unix_connection(lambda: self.line, str(self._path))
            except OSError:
                await asyncio.sleep(_RETRY_S)
            else:
                return


async def open_upstream(
    pool: Any, connect: Callable[[Any], Awaitable[None]], upstream: Any
) -> None:
    """Open one more connection to a server over HTTP."""
    try:
        async with asyncio.timeout(CONNECT_S):
            await connect(upstream)
    except (OSError, TimeoutError, ValueError) as error:  # the last: no name of a host
        pool.failed(upstream, error)
