"""The order of log levels."""

from itertools import pairwise

import pytest

from only1mcp.protocol.log_levels import LEVELS, level_of, severity


def test_levels_ascend_from_debug_to_emergency() -> None:
    """As RFC 5424 orders them."""
    assert " ".join(LEVELS) == "debug info notice warning error critical alert emergency"
    found = [severity(level) for level in LEVELS]
    assert found == list(range(8))
    assert all(
        level_of(b'{"level":"%b"}' % lower.encode()) < level_of(b'{"level":"%b"}' % upper.encode())
        for lower, upper in pairwise(LEVELS)
    )


@pytest.mark.parametrize("level", ["", "DEBUG", "warn", "fatal", " info", "info\n", "0", "trace"])
def test_other_words_are_no_levels(level: str) -> None:
    """A client that sets one is told so."""
    assert severity(level) is None


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (b'{"level":"debug","data":1e400}', 0),
        (b'{ "data" : {"level":"debug"} , "level" : "\\u0069nfo" }', 1),
        (b'{"level":"emergency"}', 7),
    ],
)
def test_the_level_of_a_message_is_read_where_it_stands(params: bytes, expected: int) -> None:
    """However it is written, and not inside its data."""
    assert level_of(params) == expected


@pytest.mark.parametrize(
    "params",
    [b"", b"{}", b"[]", b"null", b'{"level":"warn"}', b'{"level":null}', b'{"level":3}',
     b'{"level":1e400}', b'{"level":["debug"]}', b'{"level":""}'],
)  # fmt: skip
def test_a_message_of_unknown_level_is_never_filtered_out(params: bytes) -> None:
    """It counts as the most severe."""
    assert level_of(params) == len(LEVELS) - 1
