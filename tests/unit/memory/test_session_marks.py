"""Marks of sessions are known to every process at once."""

from only1mcp.memory.layout import MARK_SLOTS, Layout, SharedMemory
from only1mcp.memory.session_marks import SessionMarks
from tests.support.forking import fork, join, killed_at_the_end
from tests.support.lock_file import LOCK_FILE
from tests.support.waiting import wait_until

NOW = 1_000
LATER = NOW + 100
WINDOW = 16
"""How many sessions can have the same place without any giving way."""


def shared() -> tuple[SharedMemory, SessionMarks]:
    """Return a mapping and its marks."""
    memory = SharedMemory(Layout(workers=1, servers=1, metric_slots=4))
    return memory, SessionMarks(memory, LOCK_FILE)


def colliding(count: int) -> list[int]:
    """Return serials that all want the same place."""
    return [1 + number * MARK_SLOTS for number in range(count)]


def test_a_session_without_marks_has_none() -> None:
    """It wants all log messages, and has no stream."""
    _, marks = shared()
    marks.set_level(8, LATER, 3, NOW)
    assert (marks.level(7), marks.stream(7)) == (None, 0)


def test_both_marks_of_a_session_are_kept_side_by_side() -> None:
    """Each can be set and set again without touching the other; level 0 is a level."""
    _, marks = shared()
    marks.set_level(7, LATER, 0, NOW)
    assert (marks.level(7), marks.stream(7)) == (0, 0)
    marks.set_stream(7, LATER, 1 << 41, NOW)
    assert (marks.level(7), marks.stream(7)) == (0, 1 << 41)
    marks.set_level(7, LATER, 7, NOW)
    marks.set_stream(7, LATER, 5, NOW)
    assert (marks.level(7), marks.stream(7)) == (7, 5)


def test_a_stream_alone_sets_no_level() -> None:
    """Nor takes one away."""
    _, marks = shared()
    marks.set_stream(7, LATER, 5, NOW)
    assert marks.level(7) is None


def test_sessions_that_want_the_same_place_are_told_apart() -> None:
    """As many as fit side by side, also across the end of the table."""
    for start in (1, MARK_SLOTS - 1):
        _, marks = shared()
        serials = [start + number * MARK_SLOTS for number in range(WINDOW)]
        for number, serial in enumerate(serials):
            marks.set_stream(serial, LATER, number + 1, NOW)
        assert [marks.stream(serial) for serial in serials] == list(range(1, WINDOW + 1))


def test_when_all_places_are_taken_the_session_closest_to_its_expiry_gives_way() -> None:
    """It falls back to the defaults; nothing of it is left for its successor."""
    _, marks = shared()
    *serials, newest = colliding(WINDOW + 1)
    for number, serial in enumerate(serials):
        marks.set_level(serial, LATER + (0 if number == 5 else 50), 3, NOW)
        marks.set_stream(serial, LATER, number + 1, NOW)
    marks.set_stream(newest, LATER + 50, 99, NOW)
    assert (marks.level(serials[5]), marks.stream(serials[5])) == (None, 0)
    assert (marks.level(newest), marks.stream(newest)) == (None, 99)
    others = [serial for serial in serials if serial != serials[5]]
    assert all(marks.level(serial) == 3 and marks.stream(serial) for serial in others)


def test_places_of_expired_sessions_are_used_again() -> None:
    """Before anybody has to give way."""
    _, marks = shared()
    serials = colliding(WINDOW + 1)
    for number, serial in enumerate(serials[:WINDOW]):
        marks.set_level(serial, NOW + 1 if number == 9 else LATER + number, 3, NOW)
    marks.set_level(serials[WINDOW], LATER, 4, NOW + 1)
    assert marks.level(serials[9]) is None
    assert [marks.level(serial) for serial in serials].count(3) == WINDOW - 1


def test_a_mark_that_is_set_in_one_process_is_set_in_all() -> None:
    """Siblings and the parent see it without being told."""
    _, marks = shared()
    assert join(fork(lambda: marks.set_stream(42, LATER, 7, NOW))) == [0]
    assert marks.stream(42) == 7

    def check() -> None:
        assert marks.stream(42) == 7

    assert join(fork(check)) == [0]


def test_many_processes_setting_marks_at_once_lose_nothing() -> None:
    """All serials collide, so that every writer wants the same places."""
    _, marks = shared()
    serials = colliding(WINDOW)

    def set_some(first: int) -> None:
        for _ in range(50):
            for serial in serials[first : first + 4]:
                marks.set_level(serial, LATER, 3, NOW)
                marks.set_stream(serial, LATER, serial, NOW)

    children = [fork(lambda first=first: set_some(first)) for first in range(0, WINDOW, 4)]  # type: ignore[misc]
    assert join(*children) == [0] * 4
    assert [(marks.level(serial), marks.stream(serial)) for serial in serials] == [
        (3, serial) for serial in serials
    ]


def test_a_writer_that_is_killed_leaves_no_lock() -> None:
    """The others go on."""
    memory, marks = shared()

    def set_for_ever() -> None:
        number = 0
        while True:
            number += 1
            marks.set_stream(1 + (number % 50) * MARK_SLOTS, LATER, number, NOW)

    for _ in range(5):
        memory.marks[4] = 0
        with killed_at_the_end(set_for_ever):
            wait_until(lambda: memory.marks[4], "the child to write")
        marks.set_stream(3, LATER, 9, NOW)
        assert marks.stream(3) == 9
