"""Counting latencies: exact to a hundredth, wherever they lie."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.benchmark.histogram import MAX_US, Histogram

LATENCIES = st.lists(st.integers(0, MAX_US), min_size=1, max_size=200)


def filled(values_us: list[int]) -> Histogram:
    """Return a histogram of these values."""
    made = Histogram()
    for value in values_us:
        made.record((value + 0.5) / 1e6)
    return made


@given(LATENCIES, st.sampled_from([0.0, 1.0, 50.0, 90.0, 99.0, 99.99, 100.0]))
def test_a_percentile_is_that_of_the_sorted_values_within_a_hundredth(
    values: list[int], percent: float
) -> None:
    """And never below it: nothing looks quicker than it was."""
    rank = max(math.ceil(round(percent / 100 * len(values), 9)), 1)
    exact = sorted(values)[rank - 1]
    assert exact <= filled(values).percentile_us(percent) <= exact * 1.01


@given(LATENCIES)
def test_ends_and_sum_are_exact(values: list[int]) -> None:
    """They need no buckets."""
    made = filled(values)
    assert (made.min_us, made.max_us, made.count) == (min(values), max(values), len(values))
    assert made.mean_us == sum(values) / len(values)


@given(LATENCIES, LATENCIES)
def test_histograms_add_up_also_through_json(one: list[int], other: list[int]) -> None:
    """So do the processes of one run."""
    added = filled(one)
    added.add(Histogram.from_plain(json.loads(json.dumps(filled(other).to_plain()))))
    assert added.to_plain() == filled(one + other).to_plain()
    assert added.count == len(one) + len(other)


@given(LATENCIES)
def test_every_value_lies_in_its_bucket(values: list[int]) -> None:
    """From its first microsecond up to, but not including, its last."""
    rest = sorted(values)
    for low, high, count in filled(values).buckets():
        assert all(low <= value < high for value in rest[:count])
        rest = rest[count:]
    assert rest == []


@pytest.mark.parametrize("seconds", [-1.0, 1e9])
def test_what_cannot_be_is_counted_at_the_ends(seconds: float) -> None:
    """A clock that steps must not stop a run."""
    made = Histogram()
    made.record(seconds)
    assert made.max_us == (0 if seconds < 0 else MAX_US)


def test_an_empty_histogram_answers_all_questions() -> None:
    """When every call has failed."""
    made = Histogram()
    assert (made.percentile_us(99), made.mean_us, list(made.buckets())) == (0, 0.0, [])
