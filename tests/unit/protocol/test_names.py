"""Names as clients see them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.names import MAX_LENGTH, qualify, server_id, shorten

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def test_a_prefix_is_joined_with_two_underscores() -> None:
    """`files` and `read` make `files__read`; no prefix leaves the name alone."""
    assert qualify("files", "read") == "files__read"
    assert qualify("", "read") == "read"


def test_a_name_within_the_limit_keeps_every_letter() -> None:
    """128 characters are allowed."""
    assert shorten("x" * MAX_LENGTH) == "x" * MAX_LENGTH


def test_longer_names_are_cut_and_stay_apart() -> None:
    """Two long names that begin alike get different ends, the same each time."""
    first, second = qualify("s", "x" * 200 + "a"), qualify("s", "x" * 200 + "b")
    assert len(first) == len(second) == MAX_LENGTH
    assert first != second
    assert first == qualify("s", "x" * 200 + "a")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("My Server", "My_Server"), ("files", "files"), (" a/b:c ", "a_b_c"), ("v1.2-x", "v1.2-x"),
        ("Büro", "B_ro"), ("---", ""), ("日本", ""), ("", ""), ("_x_", "x"),
    ],
)  # fmt: skip
def test_a_display_name_becomes_an_id(label: str, expected: str) -> None:
    """What names may not hold becomes an underscore; edges are clean."""
    assert server_id(label) == expected


@given(st.text(max_size=100))
def test_an_id_is_empty_or_fit_for_a_name(label: str) -> None:
    """Whatever a client's file calls a server."""
    found = server_id(label)
    assert len(found) <= 64
    assert not found or LABEL.fullmatch(found)
