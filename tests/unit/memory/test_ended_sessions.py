"""Ended sessions are known to every process at once, whatever becomes of who ended them."""

from only1mcp.memory.ended_sessions import EndedSessions
from only1mcp.memory.layout import ENDED_SLOTS, Layout, SharedMemory
from tests.support.forking import fork, join, killed_at_the_end
from tests.support.lock_file import LOCK_FILE
from tests.support.waiting import wait_until

NOW = 1_000
LATER = NOW + 100


def shared() -> tuple[SharedMemory, EndedSessions]:
    """Return a mapping and its ended sessions."""
    memory = SharedMemory(Layout(workers=1, servers=1, metric_slots=4))
    return memory, EndedSessions(memory, LOCK_FILE)


def test_only_what_was_ended_is_ended() -> None:
    """Neighbours in the table are told apart."""
    _, ended = shared()
    ended.add(7, LATER, NOW)
    ended.add(7 + ENDED_SLOTS, LATER, NOW)
    assert 7 in ended
    assert 7 + ENDED_SLOTS in ended
    assert 8 not in ended
    assert 7 + 2 * ENDED_SLOTS not in ended


def test_ending_twice_takes_one_place() -> None:
    """The same serial does not crowd out others."""
    _, ended = shared()
    for _ in range(200):
        ended.add(7, LATER, NOW)
    for other in range(63):
        ended.add(7 + (other + 1) * ENDED_SLOTS, LATER, NOW)
    assert 7 in ended


def test_places_of_expired_sessions_are_used_again() -> None:
    """An id that has expired is refused anyway."""
    _, ended = shared()
    collide = [1 + number * ENDED_SLOTS for number in range(128)]
    for serial in collide[:64]:
        ended.add(serial, LATER, NOW)
    for serial in collide[64:]:
        ended.add(serial, LATER + 100, LATER)
    assert all(serial in ended for serial in collide[64:])


def test_when_all_places_are_taken_the_entry_closest_to_its_expiry_gives_way() -> None:
    """The one that matters least."""
    _, ended = shared()
    collide = [1 + number * ENDED_SLOTS for number in range(65)]
    for number, serial in enumerate(collide[:64]):
        ended.add(serial, LATER + (0 if number == 20 else 50), NOW)
    ended.add(collide[64], LATER + 50, NOW)
    assert collide[20] not in ended
    assert sum(serial in ended for serial in collide) == 64


def test_a_session_ended_in_one_process_is_ended_in_all() -> None:
    """Siblings and the parent see it without being told."""
    _, ended = shared()
    assert join(fork(lambda: ended.add(42, LATER, NOW))) == [0]
    assert 42 in ended

    def check() -> None:
        assert 42 in ended

    assert join(fork(check)) == [0]


def test_many_processes_ending_at_once_lose_nothing() -> None:
    """All serials collide, so that every writer wants the same places."""
    _, ended = shared()

    def end_some(first: int) -> None:
        for number in range(first, first + 10):
            ended.add(1 + number * ENDED_SLOTS, LATER, NOW)

    children = [fork(lambda first=first: end_some(first)) for first in range(0, 60, 10)]  # type: ignore[misc]
    assert join(*children) == [0] * 6
    assert all(1 + number * ENDED_SLOTS in ended for number in range(60))


def test_a_writer_that_is_killed_leaves_neither_a_lock_nor_a_wrong_entry() -> None:
    """It is killed at work, again and again; the others go on."""
    memory, ended = shared()

    def end_for_ever() -> None:
        number = 0
        while True:
            number += 1
            ended.add(1 + (number % 50) * ENDED_SLOTS, LATER, NOW)

    first_place = memory.ended[2:4]
    for _ in range(10):
        first_place[0] = 0
        with killed_at_the_end(end_for_ever):
            wait_until(lambda: first_place[0], "the child to write")
        assert first_place[0] == 0 or first_place[1] == LATER
        ended.add(3, LATER, NOW)
        assert 3 in ended
