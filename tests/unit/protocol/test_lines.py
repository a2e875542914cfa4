"""Newline framing, wherever the chunks break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.lines import LineReader, LineSkipper, LineTooLong, SkippedLine


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


@given(st.lists(st.integers(0, 30), max_size=8), st.lists(st.integers(1, 200), max_size=8))
def test_long_lines_are_skipped_wherever_the_chunks_break(
    sizes: list[int], cuts: list[int]
) -> None:
    """The others come as they are, in order; no byte of a long one is read as a line."""
    text = b"".join(b"%c" % (97 + n) * size + b"\n" for n, size in enumerate(sizes))
    skipper, found, at = LineSkipper(10), [], 0
    for cut in [*cuts, *[1] * len(text)]:
        found += skipper.feed(text[at : at + cut])
        at += cut
    assert skipper.skipped_bytes == 0
    seen = [
        (line.size, line.head, line.tail) if isinstance(line, SkippedLine) else line
        for line in found
    ]
    wholes = [b"%c" % (97 + n) * size for n, size in enumerate(sizes) if size]
    assert len(seen) == len(wholes)
    for got, whole in zip(seen, wholes, strict=True):
        assert got in (whole, (len(whole), whole, whole))
        assert len(whole) > 10 or got == whole


def test_a_line_that_goes_on_is_measured_and_not_held() -> None:
    """Whoever reads may give it up."""
    skipper = LineSkipper(10)
    for _ in range(100):
        assert skipper.feed(b"x" * 1000) == []
    assert skipper.skipped_bytes == 100_000
    *_, line = skipper.feed(b"end\nnext\n")[:1]
    assert isinstance(line, SkippedLine)
    assert (len(line.head), len(line.tail), line.tail[-3:]) == (4096, 4096, b"end")
