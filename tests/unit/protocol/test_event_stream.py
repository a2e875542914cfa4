"""Server-sent events, whole, byte by byte and with every line end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.event_stream import Event, EventReader, EventTooLong, encode

LINE_ENDS = [b"\n", b"\r\n", b"\r"]
STREAM = [
    # lines of a stream, events
    ([b"data: a", b""], [Event(b"a")]),
    ([b"data:a", b""], [Event(b"a")]),
    ([b"data:  a ", b""], [Event(b" a ")]),
    ([b"data", b""], [Event(b"")]),
    ([b"data: a", b"data: b", b"data:", b""], [Event(b"a\nb\n")]),
    ([b"event: ping", b"data: {}", b""], [Event(b"{}", "ping")]),
    ([b"event:", b"data: x", b""], [Event(b"x")]),
    ([b"id: 7", b"data:", b""], [Event(b"", id="7")]),
    ([b"id: 7", b"retry: 500", b"data: x", b""], [Event(b"x", id="7", retry_ms=500)]),
    ([b"retry: soon", b"data: x", b""], [Event(b"x")]),
    ([b"id: a\0b", b"data: x", b""], [Event(b"x")]),
    ([b": a comment", b"", b"data: x", b""], [Event(b"x")]),
    ([b"unknown: field", b"nonsense", b"data: x", b""], [Event(b"x")]),
    ([b"data: 1", b"", b"", b"data: 2", b""], [Event(b"1"), Event(b"2")]),
    ([b"event: ping", b"", b"data: x", b""], [Event(b"x")]),
    ([b"\xef\xbb\xbfdata: x", b""], [Event(b"x")]),
    ([b"data: x", b"", b"\xef\xbb\xbfdata: y", b""], [Event(b"x")]),
    ([b"DATA: x", b" data: x", b"data : x", b""], []),
    ([b"data: unfinished"], []),
]


def feed_all(pieces: list[bytes], limit: int = 10_000) -> list[Event]:
    """Return the events of a stream that comes in these pieces."""
    reader = EventReader(limit)
    return [event for piece in pieces for event in reader.feed(piece)]


@pytest.mark.parametrize("end", LINE_ENDS, ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(("lines", "events"), STREAM)
def test_the_events_depend_on_neither_line_ends_nor_chunks(
    lines: list[bytes], events: list[Event], end: bytes
) -> None:
    """A stream means the same whole, byte by byte and cut at every place."""
    text = b"".join(line + end for line in lines)
    assert feed_all([text]) == events
    assert feed_all([text[i : i + 1] for i in range(len(text))]) == events
    for cut in range(len(text)):
        assert feed_all([text[:cut], text[cut:]]) == events
        assert feed_all([text[:cut], b"", text[cut:]]) == events


def test_mixed_line_ends_are_one_stream() -> None:
    """Proxies on the way may rewrite some of them."""
    assert feed_all([b"data: a\r\n\ndata: b\r\rdata: c\n\r\n"]) == [
        Event(b"a"), Event(b"b"), Event(b"c"),
    ]  # fmt: skip


def test_an_event_is_there_as_soon_as_its_last_byte_is() -> None:
    """No reply waits for what the server may send next."""
    assert feed_all([b"data: x\r\r"]) == [Event(b"x")]
    reader = EventReader(100)
    assert reader.feed(b"data: x\r\n\r") == [Event(b"x")]
    assert reader.feed(b"\ndata: y\n\n") == [Event(b"y")]


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_mean_the_same_however_they_are_cut(text: bytes, cuts: list[int]) -> None:
    """Garbage included."""
    at = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(at)]
    assert feed_all(pieces) == feed_all([text])


@given(st.binary(max_size=40), st.sampled_from([None, "1", "a b"]))
def test_what_is_encoded_is_read_again(data: bytes, event_id: str | None) -> None:
    """Only the kind of line end inside the data is lost."""
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert feed_all([encode(data, event_id=event_id)]) == [Event(expected, id=event_id)]


@pytest.mark.parametrize(
    "flood", [b"x" * 2000, b"data: " + b"x" * 2000, b"data: x\n" * 600, b"data:\n" * 2000]
)
def test_an_event_without_an_end_is_refused_at_the_limit(flood: bytes) -> None:
    """Be it one line or very many, even empty ones."""
    with pytest.raises(EventTooLong):
        feed_all([flood], limit=1000)
    with pytest.raises(EventTooLong):
        feed_all([flood[i : i + 7] for i in range(0, len(flood), 7)], limit=1000)


def test_many_small_events_never_reach_the_limit() -> None:
    """It bounds one event, not the stream."""
    assert len(feed_all([b"data: 0123456789\n\n" * 200], limit=100)) == 200
