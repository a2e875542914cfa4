"""What one worker holds for its clients at a time: bodies of requests, and answers that wait."""

from collections.abc import Callable
from typing import Protocol

from only1mcp.errors import Overloaded

SMALL = 64 * 1024
_LIMIT = 64 * 1024 * 1024


class Transport(Protocol):
    """As much of a transport as is needed here."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""

    def abort(self) -> None:
        """Close at once."""


class Bodies(Protocol):
    """Keeps the number of bytes of bodies."""

    held: int


class Held:
    """Bounds both kinds of bytes, all clients together.

    A body counts from its arrival to the answer. The last quarter of the room is for small ones: a
    few clients that send large ones, and never finish them, do not keep everybody out. An answer
    counts while its client leaves so much of it unread that writing has paused.

    Args:
        limit: in bytes, for each of the two.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self.limit = limit
        self.held = 0
        self.bodies: Bodies = self
        """Who keeps the number: a fast lane counts its own share without asking us."""
        self.unread = 0
        self._waiting: dict[Transport, int] = {}
        """Who waits for its client, and with how much; the longest wait first."""

    def fits(self, size: int, whole: int) -> bool:
        """Tell whether there is room for so many bytes of a body of that size."""
        limit = self.limit if whole <= SMALL else self.limit * 3 // 4
        return self.bodies.held + size <= limit

    def fits_unfinished(self, size: int) -> bool:
        """Tell whether there is room for so many bytes of a request that nobody has looked at.

        Half of the room is for others: whoever may not speak at all cannot keep everybody out.
        """
        return self.bodies.held + size <= self.limit // 2

    def check(self, size: int, whole: int) -> None:
        """Say at once that there is no room.

        Args:
            size: bytes that are to come.
            whole: of the body that they belong to, as far as it is known.

        Raises:
            Overloaded: they would not fit.
        """
        if not self.fits(size, whole):
            raise Overloaded(
                "too many bodies of requests are under way",
                hint="try again in a second; `proxy.limits.max_buffered` bounds them",
            )

    def take(self, size: int, whole: int) -> None:
        """Count a piece of a body.

        Raises:
            Overloaded: there is no room for it.
        """
        self.check(size, whole)
        self.bodies.held += size

    def give(self, size: int) -> None:
        """Forget a body, or a part of one."""
        self.bodies.held -= size

    def paused(self, transport: Transport) -> None:
        """Count what a client leaves unread.

        When it is too much of all, who has waited longest for its client gives it up.
        """
        size = transport.get_write_buffer_size()
        self.unread += size - self._waiting.get(transport, 0)
        self._waiting[transport] = size
        while self.unread > self.limit and len(self._waiting) > 1:
            longest = next(iter(self._waiting))
            self.resumed(longest)
            longest.abort()

    def resumed(self, transport: Transport) -> None:
        """Learn that a client has read on, or has gone."""
        self.unread -= self._waiting.pop(transport, 0)


class Unsent:
    """What waits for one client before its transport has it: counts as unread like what that has.

    Args:
        held: counts for all clients.
        size: returns how many bytes wait; whoever holds them knows.
        give_up: ends the connection; others have no room.
    """

    def __init__(self, held: Held, size: Callable[[], int], give_up: Callable[[], None]) -> None:
        self._held = held
        self._size = size
        self._give_up = give_up
        self._over = False

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return self._size()

    def abort(self) -> None:
        """Give the client up."""
        self._give_up()

    def added(self) -> None:
        """Learn that more is yet to be sent."""
        if not self._over:
            self._held.paused(self)

    def sent(self) -> None:
        """Learn that the transport has some of it: whoever reads on waits anew for the rest."""
        self._held.resumed(self)
        if not self._over and self._size() > 0:
            self._held.paused(self)

    def end(self) -> None:
        """Learn that nothing more will be sent; who made us is let go of."""
        self._over = True
        self._held.resumed(self)
        self._size, self._give_up = int, _nobody


def _nobody() -> None:
    """End the connection of a client that is gone."""
