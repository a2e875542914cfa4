"""What each legacy session watches, wherever it watches it.

The host has the book, and every worker a copy of it: a host that is killed leaves it with them.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from only1mcp.protocol.client_features import Feature

MAX_WATCHED = 100_000
"""Of all sessions together; clients may leave without a word."""
LET_GO_S = 3600.0
"""How long a session watches on whose client has neither sent a request nor had a stream open."""
Place = tuple[str, str]
"""A server's id, and the URI of a resource."""


@dataclass(slots=True)
class Page:
    """What one session watches."""

    features: Feature
    """Who can be asked something watches on connections of its own."""
    places: dict[Place, None] = field(default_factory=dict)
    seen: float = 0.0
    """When its client was last known to be there."""


class WatchBook:
    """The watched resources, by the serial of the session."""

    def __init__(self) -> None:
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self._count = 0

    def __contains__(self, serial: object) -> bool:
        return serial in self._pages

    def __len__(self) -> int:
        return self._count

    @property
    def pages(self) -> list[tuple[int, Page]]:
        """What each session watches; who has begun to watch last comes last."""
        return list(self._pages.items())

    @property
    def serials(self) -> list[int]:
        """All sessions that watch something, in the same order."""
        return list(self._pages)

    @property
    def is_full(self) -> bool:
        """Whether sessions have to let go to make room."""
        return self._count > MAX_WATCHED

    def has(self, serial: int, place: Place) -> bool:
        """Say whether a session watches this very resource."""
        page = self._pages.get(serial)
        return page is not None and place in page.places

    def places(self, serial: int) -> list[Place]:
        """Return what a session watches."""
        page = self._pages.get(serial)
        return [] if page is None else list(page.places)

    def add(self, serial: int, features: Feature, place: Place) -> bool:
        """Note what a session watches; says whether that is new."""
        page = self._pages.setdefault(serial, Page(features))
        if place in page.places:
            return False
        page.places[place] = None
        self._pages.move_to_end(serial)
        self._count += 1
        return True

    def remove(self, serial: int, place: Place) -> None:
        """Forget what a session watches no more."""
        page = self._pages.get(serial)
        if page is not None and place in page.places:
            del page.places[place]
            self._count -= 1
            if not page.places:
                del self._pages[serial]

    def drop(self, serial: int) -> None:
        """Forget a session."""
        page = self._pages.pop(serial, None)
        self._count -= 0 if page is None else len(page.places)

    def saw(self, serial: int, now: float) -> None:
        """Note that a session's client is there."""
        page = self._pages.get(serial)
        if page is not None:
            page.seen = now

    def to_let_go(self, now: float, idle_s: float = LET_GO_S) -> list[int]:
        """Return the sessions whose clients have left, and those that are too many."""
        left = [serial for serial, page in self._pages.items() if now - page.seen > idle_s]
        spare, excess = set(self._pages).difference(left), self._count - MAX_WATCHED
        excess += MAX_WATCHED // 10 if excess > 0 else 0  # or there would soon be too many again
        for serial in self._pages:
            if excess > 0 and serial in spare and len(spare) > 1:
                left.append(serial)
                spare.discard(serial)
                excess -= len(self._pages[serial].places)
        return left
