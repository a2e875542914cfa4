"""What clients watch on the connections that are theirs alone.

A legacy server that keeps its subscriptions by session tells of an update on the session that has
subscribed. So a client with a connection of its own watches there and hears of what happens there.
What it watches outlasts the connection: the next one is asked for it again.
"""

import contextlib
import logging
import time
from dataclasses import dataclass, field

import orjson

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing, PassingSink, ReplySink
from only1mcp.backends.discovery import Deadline
from only1mcp.backends.handshake import watch_request
from only1mcp.errors import Only1MCPError
from only1mcp.host.member import Member, MemberAsker, Tell
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import SUBSCRIBE, UNSUBSCRIBE, UPDATED, updated_uri
from only1mcp.resilience.restart_policy import RestartPolicy

_log = logging.getLogger(__name__)
ANSWER_S = 30.0
"""How long a server may take to say that it tells of a resource."""
MAX_SESSIONS, MAX_WATCHED = 10_000, 100_000
"""Beyond that the oldest sessions are forgotten: clients may leave without a word."""
_FIRST_S, _LONGEST_S = 1.0, 60.0


def _policy() -> RestartPolicy:
    return RestartPolicy(first_s=_FIRST_S, longest_s=_LONGEST_S, park_after=1_000_000)


@dataclass(slots=True)
class Watching:
    """What one session watches."""

    features: Feature
    uris: dict[str, None] = field(default_factory=dict)
    policy: RestartPolicy = field(default_factory=_policy)
    """When its connection is made again, if that ends by itself."""


class OwnWatches:
    """The watched resources of one server, by session."""

    def __init__(self) -> None:
        self._of: dict[int, Watching] = {}
        self._count = 0

    def inherit(self, other: "OwnWatches") -> None:
        """Go on with what sessions watch at another one."""
        for serial, watching in other._of.items():
            for uri in watching.uris:
                self.add(serial, watching.features, uri)

    def __contains__(self, serial: object) -> bool:
        return serial in self._of

    @property
    def serials(self) -> list[int]:
        """All sessions that watch something."""
        return list(self._of)

    @property
    def all(self) -> set[str]:
        """The resources of all sessions."""
        return {uri for watching in self._of.values() for uri in watching.uris}

    def get(self, serial: int) -> Watching | None:
        """Return what a session watches; None for nothing."""
        return self._of.get(serial)

    def uris(self, serial: int) -> list[str]:
        """Return the resources that a session watches."""
        watching = self._of.get(serial)
        return [] if watching is None else list(watching.uris)

    def has(self, serial: int, uri: str) -> bool:
        """Say whether a session watches this very resource."""
        watching = self._of.get(serial)
        return watching is not None and uri in watching.uris

    def count(self, serial: int) -> int:
        """Return how many resources a session watches."""
        return len(self.uris(serial))

    def hears(self, serial: int, update: Envelope) -> bool:
        """Say whether a session watches what was updated, or what that is a part of."""
        uri = updated_uri(update)
        return uri is not None and any(map(uri.startswith, self.uris(serial)))

    def add(self, serial: int, features: Feature, uri: str) -> bool:
        """Note what a session watches; says whether that is new."""
        watching = self._of.setdefault(serial, Watching(features))
        if uri in watching.uris:
            return False
        watching.uris[uri] = None
        self._count += 1
        while len(self._of) > MAX_SESSIONS or (self._count > MAX_WATCHED and len(self._of) > 1):
            self.drop(next(one for one in self._of if one != serial))
        return True

    def remove(self, serial: int, uri: str) -> bool:
        """Forget what a session watches no more; says whether it did."""
        if not self.has(serial, uri):
            return False
        del self._of[serial].uris[uri]
        self._count -= 1
        if not self._of[serial].uris:
            del self._of[serial]
        return True

    def drop(self, serial: int) -> None:
        """Forget a session that was ended."""
        watching = self._of.pop(serial, None)
        self._count -= 0 if watching is None else len(watching.uris)

    def noting(self, outgoing: Outgoing, sink: ReplySink) -> ReplySink:
        """Note a client's request to watch a resource, or no longer; returns who hears of its end.

        It counts from now on: its connection may turn into another before the answer is there.
        """
        uri, serial = str(orjson.loads(outgoing.params)["uri"]), outgoing.session
        if outgoing.method != SUBSCRIBE:
            self.remove(serial, uri)
            return sink
        if not self.add(serial, outgoing.features, uri):
            return sink
        return _Noted(sink, self, serial, uri)


@dataclass(eq=False, frozen=True, slots=True)
class _Noted(PassingSink):
    """Takes back what a server refuses to tell of."""

    sink: ReplySink
    watches: OwnWatches
    serial: int
    uri: str

    def on_reply(self, reply: Envelope) -> None:
        if not reply.result_end:
            self.watches.remove(self.serial, self.uri)
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        self.watches.remove(self.serial, self.uri)
        self.sink.on_failure(error)


async def renew(
    watches: OwnWatches, serial: int, uris: list[str], member: Member, tell: Tell
) -> None:
    """Have a connection that is new watch what a session watches; all that may have been missed.

    Clients go on speaking meanwhile: what one lets go before its turn comes is none of that.
    """
    asker = Deadline(MemberAsker(member), ANSWER_S)
    for uri in uris:
        if not watches.has(serial, uri):
            continue
        request = watch_request(SUBSCRIBE, uri)
        try:
            reply = await asker.request(request)
        except Only1MCPError as error:
            _log.info("not watched yet: %r", error)
            return
        if not watches.has(serial, uri):
            continue
        if reply.result_end:
            tell(scan(jsonrpc.notification(UPDATED, request.params)))
        else:
            watches.remove(serial, uri)
    watching = watches.get(serial)
    if watching is not None:
        watching.policy.started(time.monotonic())


async def withdraw(uri: str, member: Member) -> None:
    """Have a connection watch a resource no more."""
    with contextlib.suppress(Only1MCPError):  # its server tells of it in vain then
        await Deadline(MemberAsker(member), ANSWER_S).request(watch_request(UNSUBSCRIBE, uri))
