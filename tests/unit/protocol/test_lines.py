"""Newline framing, wherever the chunks break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.lines import LineReader, LineTooLong


def feed_all(reader: LineReader, pieces: list[bytes]) -> list[bytes]:
    """Return the lines that the pieces complete, in order."""
    return [line for piece in pieces for line in reader.feed(piece)]


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_the_lines_do_not_depend_on_the_chunks(lines: list[bytes], data: st.DataObject) -> None:
    """Whole, byte by byte or cut anywhere: the same lines come out."""
    text = b"".join(line + b"\n" for line in lines)
    expected = [bare for line in lines if (bare := line.strip(b" \t\r"))]
    assert LineReader(100).feed(text) == expected
    assert feed_all(LineReader(100), [text[i : i + 1] for i in range(len(text))]) == expected
    cut = data.draw(st.integers(0, len(text)))
    assert feed_all(LineReader(100), [text[:cut], text[cut:]]) == expected


def test_carriage_returns_and_empty_lines_are_dropped() -> None:
    """Children on any system may end lines as they like."""
    assert LineReader(10).feed(b"a\r\n\r\n \t\nb\n") == [b"a", b"b"]


def test_other_line_ends_do_not_split_a_message() -> None:
    """Unicode has more line ends; MCP has one."""
    text = "a\u2028b\x0bc\x85d".encode()
    assert LineReader(100).feed(text + b"\n") == [text]


def test_an_unfinished_line_is_held_up_to_the_limit() -> None:
    """The limit itself is allowed, one byte more is not; the lines before it are not lost."""
    reader = LineReader(4)
    assert reader.feed(b"abcd") == []
    assert reader.feed(b"\n") == [b"abcd"]
    assert reader.feed(b"ab") == []
    with pytest.raises(LineTooLong) as refused:
        reader.feed(b"cd\nef\nghijk")
    assert refused.value.before == [b"abcd", b"ef"]


def test_after_an_overlong_line_the_reader_starts_anew() -> None:
    """Nothing of the refused line is kept in memory or glued to the next one."""
    reader = LineReader(4)
    with pytest.raises(LineTooLong):
        reader.feed(b"x" * 1000)
    assert reader.feed(b"tail\nnext\n") == [b"tail", b"next"]
