"""How much of its weight an instance gets."""

from hypothesis import given
from hypothesis import strategies as st

from only1mcp.resilience.weights import LEAST, Experience, factors

NUMBERS = st.tuples(st.integers(0, 100), st.integers(0, 100), st.floats(0, 1000))


def seen(calls: int, failures: int, seconds: float) -> Experience:
    """Return the experience of instances that go on like this."""
    experience = Experience()
    for _ in range(50):
        experience.note(calls, failures, seconds)
    return experience


def test_equal_instances_keep_their_weights() -> None:
    """As do those that nobody has called."""
    assert factors([seen(10, 0, 1.0), seen(20, 0, 2.0), Experience()]) == [1.0, 1.0, 1.0]


def test_one_that_takes_twice_as_long_gets_half() -> None:
    """So that as much is under way at each."""
    assert factors([seen(10, 0, 1.0), seen(10, 0, 2.0)]) == [1.0, 0.5]


def test_one_that_fails_gets_less() -> None:
    """By the share of what goes well, but never nothing."""
    good, half, none = factors([seen(10, 0, 1.0), seen(10, 5, 0.5), seen(10, 10, 0.0)])
    assert (good, round(half, 2), none) == (1.0, 0.5, LEAST)


def test_what_is_long_ago_counts_for_little() -> None:
    """An instance that is well again gets its weight back."""
    healed = seen(10, 10, 0.0)
    for _ in range(20):
        healed.note(10, 0, 1.0)
    assert factors([healed])[0] > 0.99


@given(st.lists(st.lists(NUMBERS, max_size=5), min_size=1, max_size=5))
def test_a_factor_is_between_a_tenth_and_one(rounds: list[list[tuple[int, int, float]]]) -> None:
    """Whatever was counted."""
    found = []
    for instance in rounds:
        experience = Experience()
        for calls, failures, seconds in instance:
            experience.note(calls, min(failures, calls), seconds)
        found.append(experience)
    assert all(LEAST <= factor <= 1.0 for factor in factors(found))
