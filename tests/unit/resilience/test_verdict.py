"""Whether something is up, by checks that may err."""

from hypothesis import given
from hypothesis import strategies as st

from only1mcp.resilience.verdict import Verdict


def judged(checks: str, failures: int = 3, successes: int = 2) -> list[bool | None]:
    """Return the verdicts after each of these checks: + for a good one."""
    subject, found = Verdict(), []
    for check in checks:
        subject.take(check == "+", failures, successes)
        found.append(subject.is_up)
    return found


def test_one_good_check_is_enough_for_what_is_new() -> None:
    """Bad ones have to be as many as ever."""
    assert judged("+") == [True]
    assert judged("---") == [None, None, False]
    assert judged("--+") == [None, None, True]


def test_bad_checks_in_a_row_take_it_down_and_good_ones_bring_it_back() -> None:
    """Any other in between begins the row anew."""
    assert judged("+--+---") == [True, True, True, True, True, True, False]
    assert judged("+---+-++")[3:] == [False, False, False, False, True]


@given(st.lists(st.booleans()), st.integers(1, 5), st.integers(1, 5))
def test_a_change_is_told_exactly_when_there_is_one(
    checks: list[bool], failures: int, successes: int
) -> None:
    """Whatever the thresholds."""
    subject = Verdict()
    for check in checks:
        before = subject.is_up
        assert subject.take(check, failures, successes) == (subject.is_up is not before)
