"""What legacy servers offer to clients of which they can ask something.

Some servers list more tools to a client that can be asked for input. Which, is found out the first
time that a client with the same features comes. A server that speaks both eras is not asked: in the
newer one, in which it is listed, lists are the same for all connections (2026-07-28, changelog).
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from only1mcp.backends.discovery import Deadline, discover_catalogue
from only1mcp.errors import Only1MCPError
from only1mcp.host.member import MemberAsker
from only1mcp.host.pool import Pool
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server

_log = logging.getLogger(__name__)


class Pooled(Protocol):
    """A server with connections of single clients."""

    server: Server
    pool: Pool


async def list_for(pooled: Pooled, features: Feature) -> Catalogue | None:
    """Return what a server offers clients with these features; None when it cannot be had."""
    pool, server = pooled.pool, pooled.server
    try:
        member = pool.take(features)
    except Only1MCPError as error:
        _log.info("not listed: %s", error, extra={"server": server.id})
        return None
    try:
        hello = await member.hello()
        asker = Deadline(MemberAsker(member), server.handshake_timeout_s)
        return await discover_catalogue(server.id, hello, asker)
    except Only1MCPError as error:
        _log.info(
            "not listed for clients that can be asked: %s", error, extra={"server": server.id}
        )
        return None
    finally:
        pool.give_back(member)


class Variants:
    """The offers that are known, by the features of clients."""

    def __init__(self, on_variant: Callable[[Feature, Catalogue], None]) -> None:
        self._on_variant = on_variant
        self.known: dict[tuple[Feature, str], Catalogue] = {}
        self.features: set[Feature] = set()
        self._listing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Of two lists of one server the later is to be known, not the slower."""
        self._due: set[str] = set()

    async def learn(self, features: Feature, servers: Iterable[Pooled]) -> None:
        """Find out what servers offer clients with these features."""
        self.features.add(features)
        for one in servers:
            async with self._listing[one.server.id]:
                await self._learn(features, one)

    def tool_names(self, common: Catalogue | None) -> list[str] | None:
        """Return the tools that a server offers to anybody; None when it was never up."""
        if common is None:
            return None
        offers = [offer for offer in self.known.values() if offer.server_id == common.server_id]
        return sorted({item.key for offer in (common, *offers) for item in offer.tools})

    def forget(self, server_id: str) -> None:
        """Forget a server that was removed."""
        for key in [key for key in self.known if key[1] == server_id]:
            del self.known[key]

    async def relearn(self, server: Pooled) -> None:
        """Find out what a server offers now that its lists have changed."""
        server_id = server.server.id
        if server_id in self._due:
            return
        self._due.add(server_id)
        async with self._listing[server_id]:
            self._due.discard(server_id)
            for features in list(self.features):
                await self._learn(features, server)

    async def _learn(self, features: Feature, server: Pooled) -> None:
        catalogue = await list_for(server, features)
        if catalogue is not None:
            self.known[features, catalogue.server_id] = catalogue
            self._on_variant(features, catalogue)
