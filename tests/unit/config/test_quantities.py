"""Durations, sizes and counts as people write them."""

import pytest

from only1mcp.config.quantities import parse_duration, parse_size, parse_workers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("2d", 172800.0),
        ("1.5s", 1.5), (" 3s ", 3.0), ("0s", 0.0), ("007s", 7.0),
    ],
)  # fmt: skip
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    """In seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["30", "s", "", "-1s", "1 s", "1S", "1e3s", "1s1m", ".5s", "1.s", "infs", 30, 1.5,
              None, True, [], "٣s"],
)  # fmt: skip
def test_a_duration_without_a_clear_meaning_is_refused(value: object) -> None:
    """A bare number could be seconds or milliseconds."""
    with pytest.raises(ValueError, match="a duration needs a number and a unit"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1024, 1024), ("1024", 1024), ("10B", 10), ("64KiB", 65536), ("4MiB", 4 * 2**20),
        ("1GiB", 2**30), ("1kB", 1000), ("1MB", 10**6), ("1GB", 10**9), (" 1 ", 1), (0, 0),
    ],
)  # fmt: skip
def test_a_size_is_a_number_of_bytes_or_has_a_unit(value: object, size: int) -> None:
    """Powers of two and of ten are told apart."""
    assert parse_size(value) == size


@pytest.mark.parametrize(
    "value", ["4 MiB", "4mib", "4M", "-1", -1, "1.5MiB", 1.5, "", "MiB", None, True, [], "٣"]
)
def test_other_sizes_are_refused(value: object) -> None:
    """Rather than guessed."""
    with pytest.raises(ValueError, match="a size is a number of bytes"):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "workers"), [(1, 1), ("2", 2), (" 3 ", 3), (64, 64), ("auto", "auto")]
)
def test_workers_are_counted_or_left_to_us(value: object, workers: int | str) -> None:
    """From 1 to 64."""
    assert parse_workers(value) == workers


@pytest.mark.parametrize(
    "value", [0, 65, -1, "x", "Auto", "", True, False, None, 2.0, "٣", "9" * 9]
)
def test_other_numbers_of_workers_are_refused(value: object) -> None:
    """A truth value is no number."""
    with pytest.raises(ValueError, match="must be 1 to 64, or auto"):
        parse_workers(value)
