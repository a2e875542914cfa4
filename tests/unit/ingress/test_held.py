"""What a worker holds for its clients: bodies that it refuses, answers that it gives up."""

from functools import partial

import pytest

from only1mcp.errors import Overloaded
from only1mcp.ingress.held import SMALL, Held, Unsent


class Unread:
    """A transport whose client does not read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        """Return what waits."""
        return self.size

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


def test_bodies_are_taken_up_to_the_limit() -> None:
    """And again once others have gone."""
    held = Held(100)
    held.take(60, 60)
    held.check(40, 40)
    with pytest.raises(Overloaded, match="too many bodies"):
        held.take(41, 41)
    held.give(60)
    held.take(100, 100)
    assert held.held == 100


def test_what_nobody_has_looked_at_leaves_half_of_the_room() -> None:
    """Whoever else holds it."""
    held = Held(100)
    held.take(30, 30)
    assert held.fits_unfinished(20)
    assert not held.fits_unfinished(21)


def test_large_bodies_leave_some_room_to_small_ones() -> None:
    """Else a few clients could keep everybody out."""
    held = Held(8 * SMALL)
    held.take(6 * SMALL, 9 * SMALL)
    with pytest.raises(Overloaded):
        held.take(1, 9 * SMALL)
    held.take(2 * SMALL, SMALL)
    with pytest.raises(Overloaded):
        held.take(1, 1)


def test_who_waits_longest_for_its_client_gives_it_up() -> None:
    """Only as many as it takes; who was read on counts no more."""
    held = Held(100)
    first, second, third, fourth = map(Unread, (40, 40, 40, 20))
    held.paused(first)
    held.paused(second)
    held.resumed(first)
    held.paused(third)
    assert not any(one.aborted for one in (first, second, third))
    held.paused(fourth)
    assert held.unread == 100
    first.size = 70
    held.paused(first)
    assert [one.aborted for one in (first, second, third, fourth)] == [False, True, True, False]
    assert held.unread == 90


def test_a_growing_backlog_keeps_its_place_and_one_answer_is_always_allowed() -> None:
    """A single answer may be larger than the limit."""
    held = Held(100)
    first, second = Unread(30), Unread(30)
    held.paused(first)
    held.paused(second)
    first.size = 80
    held.paused(first)
    assert (first.aborted, second.aborted, held.unread) == (True, False, 30)
    second.size = 500
    held.paused(second)
    assert (second.aborted, held.unread) == (False, 500)


def test_what_waits_before_a_transport_counts_as_well() -> None:
    """Who has been read from waits anew; who is gone counts no more, whatever comes for it."""
    held, given_up = Held(100), list[str]()
    sizes = {"a": 0, "b": 0}
    first, second = (
        Unsent(held, partial(sizes.__getitem__, name), partial(given_up.append, name))
        for name in sizes
    )

    def add(unsent: Unsent, name: str, size: int) -> None:
        sizes[name] += size
        (unsent.added if size > 0 else unsent.sent)()

    add(first, "a", 30)
    add(second, "b", 30)
    add(first, "a", 30)
    add(first, "a", -10)
    assert (held.unread, given_up) == (80, [])
    add(second, "b", 30)
    assert given_up == ["b"]
    assert held.unread == 50
    second.end()
    add(second, "b", 90)
    first.end()
    assert (held.unread, given_up) == (0, ["b"])
