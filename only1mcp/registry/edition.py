"""The current snapshot of one process, rebuilt when the host tells of a change."""

from collections.abc import Callable

from only1mcp.protocol.client_features import Feature
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.collisions import CollisionLog
from only1mcp.registry.registry import Registry
from only1mcp.registry.snapshot import Scope, Snapshot, build, restrict

NOTHING = Feature(0)


class Edition:
    """Holds the snapshot; whoever reads `current` keeps a whole and unchanging one."""

    def __init__(
        self, registry: Registry, page_size: int, is_news: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._collisions = CollisionLog(is_news)
        self._registry = registry
        self._page_size = page_size
        self._known: dict[str, Catalogue] = {}
        self._variants: dict[Feature, dict[str, Catalogue]] = {}
        self._snapshots: dict[Feature, Snapshot] = {}
        self._views: dict[tuple[Feature, Scope], Snapshot] = {}
        self._waiting: list[Callable[[], None]] = []
        self.on_change: Callable[[], None] = _nothing
        """Called after every change."""
        self.settled = False
        """Whether every server has answered or failed once since the start."""
        self.current: Snapshot = build(0, registry.list(), {}, page_size)

    def update(self, catalogue: Catalogue) -> frozenset[str]:
        """Take over what one server offers now; returns the kinds of lists that differ from before.

        Those of clients for which it has a variant stay as they are. A server that is yet to be
        followed is told of then.
        """
        changed = catalogue.differs(self._offer(catalogue.server_id))
        self._known[catalogue.server_id] = catalogue
        for offers in () if catalogue.is_legacy else self._variants.values():
            offers.pop(catalogue.server_id, None)  # in the modern era lists are the same for all
        if catalogue.server_id not in self._registry.servers:
            return frozenset()
        self._rebuild()
        return changed

    def _rebuild(self) -> None:
        self._snapshots.clear()
        self._views.clear()
        before = self.current
        self.current = build(
            before.version + 1, self._registry.list(), self._known, self._page_size
        )
        told = set(before.collisions)
        self.on_change()
        self._collisions.tell(one for one in self.current.collisions if one not in told)
        if self.settled:
            self._collisions.sum_up()

    def follow(self, registry: Registry, page_size: int) -> frozenset[str]:
        """Merge other servers from now on; what is known of those that stay is kept.

        Returns the kinds of lists in which new ones have something already.
        """
        known, ids = self._known, registry.servers
        come = [known[one] for one in ids.keys() - self._registry.servers.keys() if one in known]
        self._registry, self._page_size = registry, page_size
        self._known = {server_id: known[server_id] for server_id in ids if server_id in known}
        for offers in self._variants.values():
            for server_id in offers.keys() - ids.keys():
                del offers[server_id]
        self._rebuild()
        return frozenset().union(*(one.differs(Catalogue(one.server_id)) for one in come))

    def update_variant(self, features: Feature, catalogue: Catalogue) -> frozenset[str]:
        """Take over what one server offers clients with these features; returns what differs."""
        changed = catalogue.differs(self._offer(catalogue.server_id, features))
        self._variants.setdefault(features, {})[catalogue.server_id] = catalogue
        self._snapshots.pop(features, None)
        self._views.clear()
        self.on_change()
        return changed

    def has_variant(self, features: Feature, server_id: str) -> bool:
        """Say whether a server has an offer of its own for clients with these features."""
        return server_id in self._variants.get(features, {})

    def _offer(self, server_id: str, features: Feature = NOTHING) -> Catalogue:
        """Return what clients with these features see of a server."""
        variant = self._variants.get(features, {}).get(server_id)
        return variant or self._known.get(server_id) or Catalogue(server_id)

    def view(self, features: Feature, scope: Scope) -> Snapshot:
        """Return what clients with these features see, of what there is for their principal."""
        whole = self.snapshot(features)
        if scope.is_everything:
            return whole
        key = (features if whole is not self.current else NOTHING, scope)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = restrict(whole, scope)
        return found

    def snapshot(self, features: Feature) -> Snapshot:
        """Return what clients with these features see where there is everything for all."""
        variants = self._variants.get(features)
        if not variants:
            return self.current
        found = self._snapshots.get(features)
        if found is None:
            found = self._snapshots[features] = build(
                self.current.version, self._registry.list(), {**self._known, **variants},
                self._page_size,
            )  # fmt: skip
        return found

    def settle(self) -> None:
        """Note that there is nothing more to wait for."""
        self.settled = True
        self._collisions.sum_up()
        self.tell_waiting()

    def tell_waiting(self) -> None:
        """Let those who wait look again."""
        self.on_change()
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def when_known(self, resume: Callable[[], None]) -> Callable[[], None]:
        """Call back once more is known; the returned function takes that back."""
        self._waiting.append(resume)
        return lambda: self._forget(resume)

    def _forget(self, resume: Callable[[], None]) -> None:
        if resume in self._waiting:
            self._waiting.remove(resume)


def _nothing() -> None:
    """Nobody wants to know."""
