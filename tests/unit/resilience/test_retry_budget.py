"""How many calls may be sent again."""

from hypothesis import given
from hypothesis import strategies as st

from only1mcp.resilience.retry_budget import MOST, RATIO, RESERVE, RetryBudget


def test_a_server_that_was_hardly_called_has_a_few_tries() -> None:
    """Or the first call of the day could not be repeated."""
    budget = RetryBudget()
    assert [budget.take(0) for _ in range(RESERVE + 1)] == [True] * RESERVE + [False]


@given(st.lists(st.integers(0, 400), max_size=40))
def test_never_more_than_a_fifth_of_the_calls_are_repeated(steps: list[int]) -> None:
    """Whenever the failures come."""
    budget, calls = RetryBudget(), 0
    for step in steps:
        calls += step
        for _ in range(step):
            budget.take(calls)
        assert budget.granted <= max(RESERVE, RATIO * calls)


def test_no_more_than_so_much_is_saved_up() -> None:
    """A day of good calls does not pay for a storm of bad ones."""
    budget = RetryBudget()
    granted = sum(budget.take(1_000_000) for _ in range(2 * MOST))
    assert granted == MOST
