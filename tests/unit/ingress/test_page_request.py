"""What counts as a plain request for a page is one to every other reader."""

from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp.ingress import page_request
from only1mcp.ingress.http1 import parse_head
from only1mcp.ingress.pages import PATHS

LINES = st.sampled_from(
    ["GET /livez HTTP/1.1", "Host: localhost", "host:[::1]:80", "Host: a b", "Host: u@h", "Host:",
     "Accept: */*", "Accept : */*", "accept:\t*/*", " folded", "User-Agent: x", "Connection: close",
     "Connection: keep-alive", "connection: upgrade", "Content-Length: 0", "Content-Length: 3",
     "Transfer-Encoding: chunked", "Upgrade: websocket", "Expect: 100-continue", "Origin: null",
     "Referer: \u00e9", "Referer: \x00", "Authorization: Bearer x", "X: 1", ": 1", "nothing"]
)  # fmt: skip
FIRST = st.sampled_from(
    [*(f"GET {path} HTTP/1.1" for path in sorted(PATHS)),
     "GET /livez HTTP/1.0", "HEAD /livez HTTP/1.1", "GET /livez/ HTTP/1.1",
     "GET http://h/livez HTTP/1.1", "get /livez HTTP/1.1", "GET  /livez HTTP/1.1"]
)  # fmt: skip
ENDS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"])


@settings(max_examples=1000, deadline=None)
@given(FIRST, st.lists(st.tuples(LINES, ENDS), max_size=5), st.binary(max_size=9))
def test_the_strict_reader_finds_no_fault_with_it(
    first: str, lines: list[tuple[str, str]], behind: bytes
) -> None:
    """It ends where that one says, has no body, and no more than one host."""
    text = f"{first}\r\nHost: localhost\r\n" + "".join(line + end for line, end in lines) + "\r\n"
    data = text.encode("latin-1")
    request = page_request.read(data + behind)
    if request is None:
        return
    block = data[: request.size].removesuffix(b"\r\n\r\n")
    assert b"\r\n\r\n" not in block
    head = parse_head(block)
    assert head.method == b"GET"
    assert head.target.decode() == request.path
    assert not any([head.content_length, head.chunked, head.upgrades])
    assert block.lower().count(b"\nhost:") == 1
    assert request.closes == (b"connection: close" in block.lower())


def test_plain_ones_are_read() -> None:
    """Alone, and before another."""
    data = b"GET /health HTTP/1.1\r\nHost: [::1]:8080\r\naccept: */*\r\nConnection: close\r\n\r\n"
    assert page_request.read(data) == page_request.PageRequest("/health", True, len(data))
    assert page_request.read(data + data) == page_request.read(data)


def test_parts_and_long_ones_are_not() -> None:
    """Nothing is answered before its end has come."""
    data = b"GET /livez HTTP/1.1\r\nHost: h\r\n%b\r\n"
    whole = data % b""
    assert [page_request.read(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert page_request.read(data % (b"accept: " + 3000 * b"x" + b"\r\n")) is None
    assert page_request.read(whole) is not None
