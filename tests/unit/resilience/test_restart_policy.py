"""When a process that ended is started again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.resilience.restart_policy import RestartPolicy


def crash_at_once(policy: RestartPolicy, times: int, now: float = 100.0) -> list[float]:
    """Start and end a process that often, at one moment; return the waits."""
    waits = []
    for _ in range(times):
        policy.started(now)
        waits.append(policy.ended(now))
    return waits


def test_the_first_restart_is_immediate_and_each_further_one_waits_twice_as_long() -> None:
    """Up to the longest wait; then the process is parked."""
    policy = RestartPolicy(first_s=0.25, longest_s=2.0, park_after=8, parked_s=60.0)
    assert crash_at_once(policy, 9) == [0.0, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 60.0, 60.0]
    assert policy.parked


def test_a_stable_run_is_forgiven_everything() -> None:
    """Also out of parking."""
    policy = RestartPolicy(stable_s=10.0, park_after=3)
    crash_at_once(policy, 5)
    assert policy.parked
    policy.started(0.0)
    assert policy.ended(10.0) == 0.0
    assert (policy.failures, policy.parked) == (1, False)


def test_a_run_just_short_of_stable_is_not_forgiven() -> None:
    """The limit is exact."""
    policy = RestartPolicy(first_s=0.25, stable_s=10.0)
    crash_at_once(policy, 1)
    policy.started(0.0)
    assert policy.ended(9.999) == 0.25


def test_a_start_that_never_led_to_a_run_is_not_forgiven() -> None:
    """However long it took: a process may hang while it starts."""
    policy = RestartPolicy(first_s=0.25, stable_s=10.0)
    policy.started(0.0)
    assert [policy.ended(now) for now in (5.0, 1000.0, 2000.0)] == [0.0, 0.25, 0.5]


@given(st.integers(1, 5000))
def test_however_often_it_ends_the_wait_stays_within_bounds(times: int) -> None:
    """Neither negative nor longer than parking, and no overflow."""
    policy = RestartPolicy(park_after=10_000, longest_s=15.0)
    waits = crash_at_once(policy, times)
    assert waits == sorted(waits)
    assert 0.0 <= waits[-1] <= 15.0


@pytest.mark.parametrize("times", [1, 5])
def test_it_is_parked_only_after_so_many_ends(times: int) -> None:
    """Six by default."""
    policy = RestartPolicy()
    crash_at_once(policy, times)
    assert not policy.parked
