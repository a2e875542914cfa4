"""Looks again at the lists on a client's own connection, when the server says they have changed.

What servers offer clients with certain features is known from a connection of nobody's. Some send
their word of changed lists to every new connection, so that there may be nothing new.
"""

from collections.abc import Callable, Mapping
from functools import partial
from weakref import WeakKeyDictionary, ref

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.discovery import Deadline, discover_catalogue
from only1mcp.host.member import Member, MemberAsker
from only1mcp.host.relisting import Relisting
from only1mcp.host.roster import Roster
from only1mcp.host.variants import Variants
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.subscriptions import list_changed
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks

PAUSE_S = 1.0
"""Between two looks: there may be many connections."""


class OwnLists:
    """Tells a client that its server's lists are others than those that are known.

    Args:
        roster: the servers.
        variants: what they offer, by the features of clients.
        known: what they offer to all others.
        tell: takes a server's id, a session, and what its client is to hear.
        tasks: runs what takes time.
    """

    def __init__(
        self, roster: Roster, variants: Variants, known: Mapping[str, Catalogue],
        tell: Callable[[str, int, Envelope], None], tasks: Tasks,
    ) -> None:  # fmt: skip
        self._roster = roster
        self._variants = variants
        self._known = known
        self._tell = tell
        self._tasks = tasks
        self._looking: WeakKeyDictionary[Member, Relisting] = WeakKeyDictionary()

    def heard(self, server_id: str, serial: int, member: Member, message: Envelope) -> None:
        """Take a `notifications/<kind>/list_changed`."""
        relisting = self._looking.get(member)
        if relisting is None:
            look = partial(self._look, server_id, serial, ref(member))
            relisting = self._looking[member] = Relisting(
                server_id, look, self._tasks, pause_s=PAUSE_S
            )
        relisting.note(message.method or "")
        relisting.start()

    async def _look(
        self, server_id: str, serial: int, find: Callable[[], Member | None],
        kinds: frozenset[str],
    ) -> None:  # fmt: skip
        """Tell of lists that are others there; those of all clients like this one may be, too."""
        del kinds  # lists say better what has changed
        server, member = self._roster.current(server_id), find()
        if server is None or member is None or member.ended:
            return
        asker = Deadline(MemberAsker(member), server.server.handshake_timeout_s)
        found = await discover_catalogue(server_id, await member.hello(), asker)
        shared = self._known.get(server_id)
        known = self._variants.known.get((member.features, server_id), shared)
        changed = found.differs(known) if known is not None else frozenset()
        if not changed:
            return
        if shared is not None and shared.is_legacy:  # all others are the same for all clients
            await self._variants.relearn(server)
        for kind in sorted(changed):
            news = scan(jsonrpc.notification(list_changed(kind)))
            self._tell(server_id, serial, news)
