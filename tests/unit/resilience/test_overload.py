"""When a worker has more to do than it can."""

from math import inf

import pytest

from only1mcp.resilience.overload import (
    CROWD,
    FEW,
    LEAST_S,
    LONG,
    LONG_TURNS,
    SHARE,
    TRIAL_EACH_S,
    VERY_LONG,
    Overload,
)

MAX_WAIT_S = 0.1
LONG_S = 1.5 * LONG * MAX_WAIT_S


def overloaded(now: float = 10.0) -> Overload:
    """Return one that has seen long turns only."""
    overload = Overload(MAX_WAIT_S)
    for _ in range(LONG_TURNS):
        assert overload.turned(now, LONG_S, CROWD)
    assert overload.refuses_after == now + SHARE * MAX_WAIT_S
    return overload


def test_a_hiccup_is_no_overload() -> None:
    """However long it is, and however often there is one."""
    overload = Overload(MAX_WAIT_S)
    for turn in range(100):
        length_s = 0.001 if turn % LONG_TURNS == 0 else 5.0
        follow = overload.turned(float(turn), length_s, CROWD)
        assert follow == (length_s > 1)
        assert overload.refuses_after == inf


@pytest.mark.parametrize(
    ("length_s", "taken"), [(5.0, FEW - 1), (VERY_LONG * MAX_WAIT_S, CROWD - 1)]
)
def test_long_turns_for_few_are_none(length_s: float, taken: int) -> None:
    """Something else keeps the worker, or each client waits for its answer; who comes is served."""
    overload = Overload(MAX_WAIT_S)
    for turn in range(100):
        assert not overload.turned(float(turn), length_s, taken)
        assert overload.refuses_after == inf


def test_very_long_turns_are_too_long_for_few_as_well() -> None:
    """Each of them is much work."""
    overload = Overload(MAX_WAIT_S)
    for _ in range(LONG_TURNS):
        overload.turned(10.0, 1.1 * VERY_LONG * MAX_WAIT_S, FEW)
    assert overload.refuses_after < inf


def test_long_turns_in_a_row_are_one() -> None:
    """From then on each turn has a beginning in which requests are still let in."""
    overload = overloaded()
    assert overload.turned(11.0, 0.006, CROWD)
    assert overload.refuses_after == 11.0 + SHARE * MAX_WAIT_S


def test_what_is_let_in_is_never_less_than_a_look_apart() -> None:
    """However short the longest wait: a loop without work would refuse everybody."""
    overload = Overload(0.001)
    for _ in range(LONG_TURNS):
        overload.turned(10.0, 1.0, CROWD)
    assert overload.refuses_after == 10.0 + LEAST_S


def in_trial(now: float = 20.0) -> Overload:
    """Return one that lets almost everybody in, to see whether they are still too many."""
    overload = overloaded(now - TRIAL_EACH_S)
    assert overload.turned(now, 0.006, CROWD)
    assert overload.refuses_after == inf
    return overload


def test_without_a_trial_it_does_not_end() -> None:
    """Turns are short because of what is refused, and all may have come in those before."""
    overload = overloaded(10.0)
    for hundredth in range(1, int(100 * TRIAL_EACH_S)):
        now = 10.0 + hundredth / 100
        assert overload.turned(now, 0.0, 0)
        assert overload.refuses_after == now + SHARE * MAX_WAIT_S


def test_a_trial_in_which_too_many_come_ends_at_once() -> None:
    """And there is none again for some time."""
    overload = in_trial(20.0)
    assert overload.turned(20.01, 0.0, CROWD)
    assert overload.refuses_after == 20.01 + SHARE * MAX_WAIT_S
    assert overload.turned(20.0 + TRIAL_EACH_S, 0.006, CROWD)
    assert overload.refuses_after == 20.0 + TRIAL_EACH_S + SHARE * MAX_WAIT_S
    assert overload.turned(20.02 + TRIAL_EACH_S, 0.006, CROWD)
    assert overload.refuses_after == inf


def test_it_ends_with_a_trial_in_which_few_come() -> None:
    """Also when they are those who were refused before, and came again at once."""
    overload = in_trial(20.0)
    for thousandth in range(1, int(1000 * MAX_WAIT_S)):
        assert overload.turned(20.0 + thousandth / 1000, 0.006, CROWD - 1)
    assert not overload.turned(20.0 + MAX_WAIT_S, 0.006, CROWD - 1)
    assert overload.refuses_after == inf


def test_after_its_end_it_takes_as_much_as_at_first_to_begin_again() -> None:
    """One long turn is a hiccup again."""
    overload = in_trial(20.0)
    assert not overload.turned(20.0 + MAX_WAIT_S, 0.006, 0)
    assert overload.turned(20.2, LONG_S, CROWD)
    assert overload.refuses_after == inf
