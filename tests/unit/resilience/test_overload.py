"""When a worker has more to do than it can."""

from math import inf

import pytest

from only1mcp.resilience.overload import (
    CALM_S,
    CROWD,
    FEW,
    LONG,
    LONG_TURNS,
    SHARE,
    VERY_LONG,
    Overload,
)

MAX_WAIT_S = 0.1
LONG_S = 1.5 * LONG * MAX_WAIT_S


def overloaded(now: float = 10.0) -> Overload:
    """Return one that has seen long turns only."""
    overload = Overload(MAX_WAIT_S)
    for _ in range(LONG_TURNS):
        assert overload.turned(now, LONG_S, CROWD, refused=False)
    assert overload.refuses_after == now + SHARE * MAX_WAIT_S
    return overload


def test_a_hiccup_is_no_overload() -> None:
    """However long it is, and however often there is one."""
    overload = Overload(MAX_WAIT_S)
    for turn in range(100):
        length_s = 0.001 if turn % LONG_TURNS == 0 else 5.0
        follow = overload.turned(float(turn), length_s, CROWD, refused=False)
        assert follow == (length_s > 1)
        assert overload.refuses_after == inf


@pytest.mark.parametrize(
    ("length_s", "taken"), [(5.0, FEW - 1), (VERY_LONG * MAX_WAIT_S, CROWD - 1)]
)
def test_long_turns_for_few_are_none(length_s: float, taken: int) -> None:
    """Something else keeps the worker, or each client waits for its answer; who comes is served."""
    overload = Overload(MAX_WAIT_S)
    for turn in range(100):
        assert not overload.turned(float(turn), length_s, taken, refused=False)
        assert overload.refuses_after == inf


def test_very_long_turns_are_too_long_for_few_as_well() -> None:
    """Each of them is much work."""
    overload = Overload(MAX_WAIT_S)
    for _ in range(LONG_TURNS):
        overload.turned(10.0, 1.1 * VERY_LONG * MAX_WAIT_S, FEW, refused=False)
    assert overload.refuses_after < inf


def test_long_turns_in_a_row_are_one() -> None:
    """From then on each turn has a beginning in which requests are still let in."""
    overload = overloaded()
    assert overload.turned(11.0, 0.006, CROWD, refused=True)
    assert overload.refuses_after == 11.0 + SHARE * MAX_WAIT_S


def test_it_lasts_as_long_as_there_is_something_to_refuse() -> None:
    """Short turns alone do not end it: they are short because of what is refused."""
    overload = overloaded(10.0)
    for tenth in range(100, 200):
        assert overload.turned(tenth / 10, 0.006, CROWD, refused=tenth % 2 == 0)
    assert overload.turned(20.0, 0.006, CROWD, refused=False)
    assert not overload.turned(20.0 + CALM_S, 0.006, CROWD, refused=False)
    assert overload.refuses_after == inf


def test_after_its_end_it_takes_as_much_as_at_first_to_begin_again() -> None:
    """One long turn is a hiccup again."""
    overload = overloaded(10.0)
    assert not overload.turned(11.0, 0.006, CROWD, refused=False)
    assert overload.turned(11.1, LONG_S, CROWD, refused=False)
    assert overload.refuses_after == inf
