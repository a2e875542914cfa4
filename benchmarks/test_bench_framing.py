"""What a stranger sends in very many small pieces costs no more than its size."""

from collections.abc import Callable

import pytest

from benchmarks.measure import growth
from only1mcp.ingress.http1 import Framer
from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.lines import LineReader

HEAD = b"POST /mcp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
TIMES = 16
MOST = 2.5 * TIMES
"""Times the cost for sixteen times the input; with a square law it would be 256."""


PIECE = b"x" * 64
"""Small, so that even the large input stays in the processor's cache."""


def frame_chunks(count: int) -> None:
    """Pass a body of one-byte chunks that came in one read."""
    framer = Framer(32_768, 4_194_304)
    framer.feed(HEAD)
    framer.feed(b"1\r\nx\r\n" * count)


def frame_pipeline(count: int) -> None:
    """Pass requests that came in one read."""
    Framer(32_768, 4_194_304).feed(b"GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n" * count)


def read_event(count: int) -> None:
    """Read one event that comes in pieces."""
    reader = EventReader(1 << 30)
    reader.feed(b"data: ")
    for _ in range(count):
        reader.feed(PIECE)
    assert reader.feed(b"\n\n")


def read_line(count: int) -> None:
    """Read one line that comes in pieces."""
    reader = LineReader(1 << 30)
    for _ in range(count):
        reader.feed(PIECE)
    assert reader.feed(b"\n")


@pytest.mark.gate
@pytest.mark.parametrize("work", [frame_chunks, frame_pipeline, read_event, read_line])
def test_the_cost_of_many_pieces_grows_with_their_number(
    work: Callable[[int], None],
) -> None:
    """And not with its square."""
    assert growth(lambda: work(256), lambda: work(256 * TIMES)) < MOST
