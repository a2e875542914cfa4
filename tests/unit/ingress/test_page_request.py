"""What counts as a plain request for a page is one to every other reader."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp.ingress import page_request
from only1mcp.ingress.http1 import parse_head
from only1mcp.ingress.page_request import PageRequest
from only1mcp.ingress.pages import PATHS

HOSTS = st.sampled_from(
    [*["Host: localhost", "host:[::1]:80", "HOST: 127.0.0.1:8080"] * 5, "Host: a b",
     "Host: u@h", "Host:", "Host: h:", "Host: h:123456", "Host: [::1", "Host : h", "Hos: h"]
)  # fmt: skip
PLAIN = st.sampled_from(
    ["Accept: */*", "accept:\t*/*", "User-Agent: x", "Connection: close", "Connection: keep-alive",
     "Referer: http://h/", "Accept-Encoding: gzip", "Pragma: "]
)  # fmt: skip
OTHER = st.sampled_from(
    ["Host: localhost", "Accept : */*", " folded", "connection: upgrade", "Connection: close, x",
     "Content-Length: 0", "Content-Length: 3", "Transfer-Encoding: chunked", "Upgrade: websocket",
     "Expect: 100-continue", "Origin: null", "Referer: \u00e9", "Referer: \x00",
     "Authorization: Bearer x", "X: 1", ": 1", "nothing"]
)  # fmt: skip
LINES = st.one_of(*[PLAIN] * 9, OTHER)
FIRST = st.sampled_from(
    [*(f"GET {path} HTTP/1.1" for path in sorted(PATHS) for _ in range(5)),
     "GET /livez HTTP/1.0", "HEAD /livez HTTP/1.1", "GET /livez/ HTTP/1.1",
     "GET http://h/livez HTTP/1.1", "get /livez HTTP/1.1", "GET  /livez HTTP/1.1"]
)  # fmt: skip
ENDS = st.sampled_from([*["\r\n"] * 60, "\n", "\r", "\r\r\n"])
HOST_OF = re.compile(rb"\nhost:[ \t]*([a-z0-9.]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?[ \t]*\r?\n")


def test_the_strict_reader_finds_no_fault_with_it() -> None:
    """It ends where that one says, has no body, and one host that can be one."""
    found: list[PageRequest] = []

    # The same examples each time, or a thousand might one day hold none that closes.
    @settings(max_examples=1000, derandomize=True)
    @given(FIRST, HOSTS, st.lists(st.tuples(LINES, ENDS), max_size=4), st.binary(max_size=9))
    def compare(first: str, host: str, lines: list[tuple[str, str]], behind: bytes) -> None:
        text = f"{first}\r\n{host}\r\n" + "".join(line + end for line, end in lines) + "\r\n"
        data = text.encode("latin-1")
        request = page_request.read(data + behind)
        if request is None:
            return
        found.append(request)
        block = data[: request.size].removesuffix(b"\r\n\r\n")
        assert b"\r\n\r\n" not in block
        head = parse_head(block)
        assert (head.method, head.target.decode()) == (b"GET", request.path)
        assert not any([head.content_length, head.chunked, head.upgrades])
        low = block.lower() + b"\r\n"
        assert (low.count(b"\nhost:"), len(HOST_OF.findall(low))) == (1, 1)
        assert request.closes == (b"connection: close" in low)
        assert b"upgrade" not in low

    compare()
    assert len(found) > 50
    assert {request.closes for request in found} == {False, True}


def test_plain_ones_are_read() -> None:
    """Alone, and before another."""
    data = b"GET /health HTTP/1.1\r\nHost: [::1]:8080\r\naccept: */*\r\nConnection: close\r\n\r\n"
    assert page_request.read(data) == PageRequest("/health", True, len(data))
    assert page_request.read(data + data) == page_request.read(data)


def test_parts_and_long_ones_are_not() -> None:
    """Nothing is answered before its end has come."""
    data = b"GET /livez HTTP/1.1\r\nHost: h\r\n%b\r\n"
    whole = data % b""
    assert [page_request.read(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert page_request.read(data % (b"accept: " + 3000 * b"x" + b"\r\n")) is None
    assert page_request.read(whole) is not None
