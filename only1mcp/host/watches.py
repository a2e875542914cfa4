"""Which resources of a server are watched, and by whom. Pure.

A holder is a legacy session, by its serial, or one stream of one worker. A resource is subscribed
to upstream when its first holder comes, and no longer when its last one has gone.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping, Set

from only1mcp.protocol.subscriptions import UNSUBSCRIBE

MAX_WATCHED = 10_000
"""Resources of one server; a client cannot make the host grow without end."""


class Watches:
    """The watched resources of one server."""

    def __init__(self) -> None:
        self._holders: OrderedDict[str, set[Hashable]] = OrderedDict()
        self._counts: Counter[Hashable] = Counter()

    @property
    def everything(self) -> Mapping[str, Set[Hashable]]:
        """Who watches what."""
        return self._holders

    def inherit(self, everything: Mapping[str, Set[Hashable]]) -> None:
        """Go on with what others' holders watch."""
        for uri, holders in everything.items():
            for holder in holders:
                self.add(uri, holder)

    @property
    def uris(self) -> list[str]:
        """All that are watched."""
        return list(self._holders)

    @property
    def full(self) -> bool:
        """Whether no further resource can be watched."""
        return len(self._holders) >= MAX_WATCHED

    def add(self, uri: str, holder: Hashable) -> bool:
        """Note a holder; says whether it is the resource's first."""
        first = uri not in self._holders
        holders = self._holders.setdefault(uri, set())
        if holder not in holders:
            holders.add(holder)
            self._counts[holder] += 1
        return first

    def count(self, holder: Hashable) -> int:
        """Return how many resources a holder watches."""
        return self._counts[holder]

    def has(self, uri: str, holder: Hashable) -> bool:
        """Say whether a holder watches this very resource."""
        return holder in self._holders.get(uri, ())

    def remove(self, uri: str, holder: Hashable) -> bool:
        """Forget a holder; says whether it was the resource's last."""
        holders = self._holders.get(uri, set())
        if holder in holders:
            holders.discard(holder)
            self._counts[holder] -= 1
            if not self._counts[holder]:
                del self._counts[holder]
        if holders or uri not in self._holders:
            return False
        del self._holders[uri]
        return True

    def note(self, method: str, uri: str, holder: Hashable) -> None:
        """Note a holder or forget it, of a server that cannot be told now."""
        if method == UNSUBSCRIBE:
            self.remove(uri, holder)
        elif not self.full:
            self.add(uri, holder)

    def drop_link(self, link: object) -> list[str]:
        """Forget the streams of a worker that is gone."""
        gone: set[Hashable] = {
            holder for holders in self._holders.values() for holder in holders
            if isinstance(holder, tuple) and holder[0] is link
        }  # fmt: skip
        return self.drop(gone)

    def drop(self, holders: set[Hashable]) -> list[str]:
        """Forget holders altogether; returns the resources that nobody watches any more."""
        return [
            uri for uri in self.uris
            for holder in holders & self._holders.get(uri, set()) if self.remove(uri, holder)
        ]  # fmt: skip

    def holders(self, uri: str) -> set[Hashable]:
        """Return who watches a resource, or one that it is a part of (server/resources)."""
        found: set[Hashable] = set()
        for watched, holders in self._holders.items():
            if uri.startswith(watched):
                found |= holders
        return found
