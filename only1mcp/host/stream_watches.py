"""What modern clients' subscriptions watch, on the connections on which their calls travel.

A client that can be asked something calls on a connection that nobody else uses meanwhile. A
legacy server that keeps its subscriptions by session tells of what such a call has caused on that
session alone. So the session watches what that client's streams watch, and they are told of it.

No session says who a modern client is: it is a principal, and what its client can be asked, of
which each request speaks. Streams of others are told nothing.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.discovery import Deadline
from only1mcp.backends.handshake import watch_request
from only1mcp.errors import Only1MCPError
from only1mcp.host.member import Member, MemberAsker
from only1mcp.host.watches import Watches
from only1mcp.protocol.subscriptions import SUBSCRIBE, UPDATED, updated_uri
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
PATIENCE_S = 2.0
"""How long a call waits for its server to agree to tell of its effects."""
MAX_URIS = 100
"""Resources that one connection watches: each is a request before its first call."""

Caller = tuple[str, int]
"""A principal's id, and what its client can be asked."""
OnUpdated = Callable[[Member, Caller, str, bytes], None]
"""Takes a connection, who calls there, the URI of what was updated, and the raw parameters."""


@dataclass(eq=False, slots=True)
class _Use:
    """A connection, and whose calls it carries."""

    caller: Caller
    told: set[str] = field(default_factory=set)
    """The resources that its server was asked to tell of, whether it agreed or not."""
    watches: bool = False
    """Whether that was ever anything: the server may tell of it from then on."""


class StreamWatches:
    """What the streams of each client watch at one server, and where that is known."""

    def __init__(self, tasks: Tasks, on_updated: OnUpdated) -> None:
        self._tasks = tasks
        self._on_updated = on_updated
        self._wanted: defaultdict[Caller, Watches] = defaultdict(Watches)
        self._callers: dict[Hashable, Caller] = {}
        """Whose each stream is."""
        self._uses: dict[Member, _Use] = {}

    def inherit(self, other: "StreamWatches") -> None:
        """Go on with what streams watch at another one."""
        self._callers.update(other._callers)
        for caller, watches in other._wanted.items():
            self._wanted[caller].inherit(watches.everything)

    def add(self, caller: Caller, uri: str, holder: Hashable) -> None:
        """Note what a stream watches."""
        self._callers[holder] = caller
        self._wanted[caller].add(uri, holder)

    def remove(self, uri: str, holder: Hashable) -> None:
        """Forget what a stream watches no more."""
        caller = self._callers.get(holder)
        if caller is None:
            return
        watches = self._wanted[caller]
        watches.remove(uri, holder)
        if not watches.count(holder):
            del self._callers[holder]
        if not watches.uris:
            del self._wanted[caller]

    def drop_link(self, link: object) -> None:
        """Forget the streams of a worker that is gone."""
        for caller, watches in list(self._wanted.items()):
            watches.drop_link(link)
            if not watches.uris:
                del self._wanted[caller]
        for holder, caller in list(self._callers.items()):
            if caller not in self._wanted or not self._wanted[caller].count(holder):
                del self._callers[holder]

    def use(self, member: Member, caller: Caller) -> None:
        """Note whose calls a connection carries from now on."""
        use = self._uses.setdefault(member, _Use(caller))
        use.caller = caller
        member.tell = partial(self._heard, member, use)
        member.turned = use.told.clear  # the server is asked again before the next call

    def forget(self, member: Member) -> None:
        """Forget a connection that is about to be ended."""
        self._uses.pop(member, None)

    def is_of(self, member: Member, caller: Caller) -> bool:
        """Say whether a connection carried a client's calls last."""
        return self._uses[member].caller == caller

    def may_use(self, member: Member, caller: Caller) -> bool:
        """Say whether a connection may carry a client's calls: none where others' watch."""
        return self.is_of(member, caller) or not self._uses[member].watches

    def is_heard(self, member: Member) -> bool:
        """Say whether somebody waits for what is told on a connection."""
        use = self._uses.get(member)
        return use is not None and use.watches and use.caller in self._wanted

    def is_behind(self, member: Member) -> bool:
        """Say whether a connection is yet to watch something."""
        return bool(self._missing(self._uses[member]))

    def _missing(self, use: _Use) -> list[str]:
        watches = self._wanted.get(use.caller)
        if watches is None or len(use.told) >= MAX_URIS:
            return []
        new = (uri for uri in watches.uris if uri not in use.told)
        return list(islice(new, MAX_URIS - len(use.told)))

    def call(self, member: Member, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request once its connection watches what its client's streams do."""
        if not self.is_behind(member):
            return member.call(outgoing, sink)
        begun = list[Cancel]()

        async def begin() -> None:
            await self.catch_up(member)
            begun.append(member.call(outgoing, sink))

        beginning = self._tasks.spawn(begin())

        def cancel() -> None:
            beginning.cancel()
            for one in begun:
                one()

        return cancel

    async def catch_up(self, member: Member) -> None:
        """Have a connection watch what it should; a server that refuses is not asked again."""
        use = self._uses.get(member)
        uris = [] if use is None else self._missing(use)
        if use is not None and uris:
            use.watches = True
            use.told.update(uris)
        await asyncio.gather(*(_watch(member, uri) for uri in uris))

    def _heard(self, member: Member, use: _Use, message: Envelope) -> None:
        """Take what belongs to no call; of changed lists the host hears on its own connection."""
        if message.method != UPDATED:
            return
        uri = updated_uri(message)
        watches = self._wanted.get(use.caller)
        if uri is not None and watches is not None and watches.holders(uri):
            params = message.body[message.params_start : message.params_end]
            self._on_updated(member, use.caller, uri, params)


async def _watch(member: Member, uri: str) -> None:
    asker = Deadline(MemberAsker(member), PATIENCE_S)
    try:
        await asker.request(watch_request(SUBSCRIBE, uri))
    except Only1MCPError as error:
        _log.debug("not watched: %s", error)
