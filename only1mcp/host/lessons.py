"""What the host finds out for workers when the first client comes that needs it.

The other end of `only1mcp.proxy.learning`: whether modern servers speak a legacy revision too, and
what legacy servers offer to clients with certain features.
"""

import asyncio
import contextlib
from collections.abc import Mapping

import orjson

from only1mcp.host.http_server import HttpServer
from only1mcp.host.roster import AnyServer, Roster
from only1mcp.host.variants import Variants
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks

LEGACY = "legacy"
"""What `only1mcp.proxy.learning` calls the question after legacy revisions."""
SETTLE_S = 3.0
"""The longest that a lesson waits, after a start, for servers that are slow to start."""


class Lessons:
    """Each topic is learned once, for all workers."""

    def __init__(
        self, roster: Roster, variants: Variants, known: Mapping[str, Catalogue],
        settled: asyncio.Event, tasks: Tasks,
    ) -> None:  # fmt: skip
        self._roster = roster
        self._variants = variants
        self._known = known
        self._settled = settled
        self._tasks = tasks
        self._learned: dict[str, asyncio.Task[None]] = {}

    def prepare(self, server: AnyServer) -> None:
        """Have a new server asked from the start what all were asked before it came."""
        if isinstance(server, HttpServer):
            server.both_eras = LEGACY in self._learned

    async def teach(self, link: Link, topic: str) -> None:
        """Find out what a worker needs to know, once for all, and say when that is done."""
        lesson = self._learned.get(topic)
        if lesson is None:
            lesson = self._learned[topic] = self._tasks.spawn(self._learn(topic))
        await asyncio.wait({lesson})
        link.send(Kind.EVENT, 0, orjson.dumps({"learned": topic}))

    async def _learn(self, topic: str) -> None:
        servers = list(self._roster)
        if topic == LEGACY:
            https = [server for server in servers if isinstance(server, HttpServer)]
            await asyncio.gather(*(server.learn_both_eras() for server in https))
            return
        # The first client may come while servers start, and is to see what they offer it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._settled.wait()
        legacy = [
            server for server in servers
            if (known := self._known.get(server.server.id)) and known.is_legacy
        ]  # fmt: skip
        features = Feature(int(topic))
        self._variants.features.add(features)  # for servers that come later
        await asyncio.gather(*(self._variants.learn(features, [s]) for s in legacy))
