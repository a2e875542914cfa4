"""Pairs the replies on one shared channel with the calls that wait for them. Pure.

Ids are ours, grow by one and are never used twice on a channel, so that equal ids of different
clients can never meet.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Multiplexer(Generic[Waiter]):
    """The calls under way on one channel."""

    def __init__(self) -> None:
        self._last = 0
        self.waiting: dict[bytes, Waiter] = {}
        """Who waits, by the request's id as JSON."""

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self.waiting.values()))

    def unheard(self) -> bytes:
        """Return the id of a request whose answer nobody waits for."""
        self._last += 1
        return b"%d" % self._last

    def take_ids(self, count: int) -> int:
        """Reserve so many ids and return the first."""
        first = self._last + 1
        self._last += count
        return first

    def open(self, waiter: Waiter) -> bytes:
        """Register a call and return its id, as JSON."""
        request_id = self.unheard()
        self.waiting[request_id] = waiter
        return request_id

    def take(self, request_id: bytes) -> Waiter | None:
        """Return who waits for this id and forget it; None when nobody does (any more)."""
        return self.waiting.pop(request_id, None)

    def newest_first(self) -> Iterator[Waiter]:
        """Return who waits, beginning with who came last; nobody may come or leave meanwhile."""
        return reversed(self.waiting.values())

    def find(self, wanted: Callable[[Waiter], bool]) -> Waiter | None:
        """Return the first who fits."""
        return next((waiter for waiter in self.waiting.values() if wanted(waiter)), None)

    def only(self, wanted: Callable[[Waiter], bool]) -> Waiter | None:
        """Return who fits, if exactly one does."""
        found = list(itertools.islice(filter(wanted, self.waiting.values()), 2))
        return found[0] if len(found) == 1 else None

    def drain(self) -> list[Waiter]:
        """Return and forget all who wait; the channel has ended."""
        waiting = list(self.waiting.values())
        self.waiting.clear()
        return waiting
