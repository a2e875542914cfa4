"""What several processes of one server watch and tell, as if they were one.

Each is told of everything that is watched: any of them may be the one that sees it change.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from only1mcp.errors import BackendProtocolError, Only1MCPError, Overloaded
from only1mcp.host.feed import Feed
from only1mcp.host.task_feed import TaskWatches
from only1mcp.host.watches import Watches
from only1mcp.protocol.subscriptions import SUBSCRIBE
from only1mcp.tasks import Tasks


class JoinedWatches:
    """The watched resources of a server, of which each process has the same list."""

    def __init__(self, each: Callable[[], Iterable[Watches]]) -> None:
        self._each = each

    @property
    def everything(self) -> Mapping[str, AbstractSet[Hashable]]:
        """Who watches what."""
        return next(iter(self._each())).everything

    @property
    def uris(self) -> list[str]:
        """All that are watched."""
        return list(self.everything)

    def count(self, holder: Hashable) -> int:
        """Return how many resources a holder watches."""
        return max(one.count(holder) for one in self._each())

    def has(self, uri: str, holder: Hashable) -> bool:
        """Say whether a holder watches a resource."""
        return any(one.has(uri, holder) for one in self._each())

    def inherit(self, everything: Mapping[str, AbstractSet[Hashable]]) -> None:
        """Go on with what others' holders watch."""
        for one in self._each():
            one.inherit(everything)

    def note(self, method: str, uri: str, holder: Hashable) -> None:
        """Note a holder or forget it, while nobody can be told."""
        for one in self._each():
            one.note(method, uri, holder)

    def remove(self, uri: str, holder: Hashable) -> bool:
        """Forget a holder; says whether it was the resource's last."""
        return any([one.remove(uri, holder) for one in self._each()])  # noqa: C419 - all of them

    def drop_link(self, link: object) -> list[str]:
        """Forget the streams of a worker that is gone."""
        return _once(one.drop_link(link) for one in self._each())

    def drop(self, holders: set[Hashable]) -> list[str]:
        """Forget holders altogether; returns the resources that nobody watches any more."""
        return _once(one.drop(holders) for one in self._each())

    def holders(self, uri: str) -> set[Hashable]:
        """Return who watches a resource, or one that it is a part of."""
        return set().union(*(one.holders(uri) for one in self._each()))


class JoinedTaskWatches:
    """The watched tasks of a server; each belongs to one process, and nobody knows to which."""

    def __init__(self, each: Callable[[], Iterable[TaskWatches]]) -> None:
        self._each = each

    def watch(self, task_id: str, holder: Hashable) -> None:
        """Have a task watched."""
        for one in self._each():
            one.watch(task_id, holder)

    def unwatch(self, task_id: str, holder: Hashable) -> None:
        """Take that back."""
        for one in self._each():
            one.unwatch(task_id, holder)

    def drop_link(self, link: object) -> None:
        """Forget the streams of a worker that is gone."""
        for one in self._each():
            one.drop_link(link)


class JoinedFeed:
    """The feeds of the processes that are up.

    Args:
        feeds: with what each watches.
        away: what those watch that are not up, and will be told once they are.
        tasks: runs what nobody waits for.
    """

    def __init__(
        self, feeds: Sequence[tuple[Feed, Watches]], away: Sequence[Watches], tasks: Tasks
    ) -> None:
        self._feeds = feeds
        self._away = away
        self._tasks = tasks

    async def subscribe(self, uri: str, holder: Hashable) -> None:
        """Have a resource watched; when this returns, one of them tells of it.

        Raises:
            BackendError: none of them does.
            Overloaded: too many resources are watched.
        """
        for watches in self._away:
            watches.note(SUBSCRIBE, uri, holder)
        ends: asyncio.Queue[Only1MCPError | None] = asyncio.Queue()
        for feed, watches in self._feeds:
            self._tasks.spawn(self._tell(feed, watches, uri, holder, ends))
        failure = None
        for _ in self._feeds:
            failure = await ends.get()
            if failure is None:
                return
        for watches in (*self._away, *(watches for _, watches in self._feeds)):
            watches.remove(uri, holder)
        if failure is not None:
            raise failure

    async def _tell(
        self, feed: Feed, watches: Watches, uri: str, holder: Hashable,
        ends: "asyncio.Queue[Only1MCPError | None]",
    ) -> None:  # fmt: skip
        """Tell one; one that did not refuse will be told again, as long as others tell of it."""
        failure = None
        try:
            await feed.subscribe(uri, holder)
        except Only1MCPError as error:
            failure = error
            others = (other for _, other in self._feeds if other is not watches)
            is_wanted = any(holder in other.everything.get(uri, ()) for other in others)
            if is_wanted and not isinstance(error, BackendProtocolError | Overloaded):
                watches.note(SUBSCRIBE, uri, holder)
        ends.put_nowait(failure)

    async def unsubscribe(self, uri: str, holder: Hashable) -> None:
        """Have a resource watched no longer, for this holder."""
        for watches in self._away:
            watches.remove(uri, holder)
        await asyncio.gather(*(feed.unsubscribe(uri, holder) for feed, _ in self._feeds))

    async def forget(self, uris: Iterable[str]) -> None:
        """Tell all that nobody watches some resources any more."""
        gone = list(uris)
        await asyncio.gather(*(feed.forget(gone) for feed, _ in self._feeds))


def _once(lists: Iterable[list[str]]) -> list[str]:
    return list(dict.fromkeys(uri for each in lists for uri in each))
