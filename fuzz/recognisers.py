"""What must hold for the heads and bodies of HTTP that the fast lane recognises.

Both twins say the same, however much has come; and what they recognise, no other reader reads in
another way: neither what it says, nor where it ends. Others may decline it where they are stricter.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fuzz.judges import REQUEST_JUDGES, RESPONSE_JUDGES, Declined, Seen
from only1mcp import _speedups
from only1mcp._speedups import http1_py
from only1mcp.ingress.http1 import Framer

TWIN: Any = (
    importlib.import_module("only1mcp._speedups.http1_c") if _speedups.COMPILED else http1_py
)
_NAMES = (b"host", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id")
_NEXT_REQUEST = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
_NEXT_RESPONSE = b"HTTP/1.1 299 Next\r\nContent-Length: 4\r\n\r\nnext"
_LARGEST = 100_000
"""Of a body that is made up to go with a head."""


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut the bytes after the first one into pieces whose sizes it decides."""
    size = data[:1][0] if data else 0
    at = 1
    while at < len(data):
        step = size % 7 + 1
        yield data[at : at + step]
        at += step
        size = (size * 5 + 3) % 256


def said_of(name: str, data: bytes) -> tuple[Any, ...] | None:
    """Return what both twins say of the bytes."""
    found: tuple[Any, ...] | None = getattr(TWIN, name)(data)
    assert found == getattr(http1_py, name)(data), data
    return found


def _grows(name: str, data: bytes) -> tuple[Any, ...] | None:
    """Feed more and more of the bytes: once it is clear what they are, it stays so."""
    found: tuple[Any, ...] | None = ()
    for size in range(len(data) + 1):
        earlier, found = found, said_of(name, data[:size])
        assert earlier in ((), found)
    return found


def fast_request(data: bytes) -> None:
    """No request is recognised that somebody reads in another way; all accept it."""
    found = _grows("recognise_request", data)
    if not found or found[1] > _LARGEST:
        return
    size, length, *values = found
    body = (data[size:] + b"{" * length)[:length]
    request = data[:size] + body
    framer = Framer(1 << 20, 1 << 30)
    assert framer.feed(request + _NEXT_REQUEST[:9]) == request
    assert (framer.requests, framer.idle) == (1, False)
    for name, judge in REQUEST_JUDGES.items():
        first, following = judge(request + _NEXT_REQUEST)
        assert first.start == (b"POST", b"/mcp", "1.1"), name
        assert [first.value(key) for key in _NAMES] == values, name
        assert (first.body, first.keeps, first.is_whole) == (body, True, True), name
        assert following.start == (b"GET", b"/next", "1.1"), name


def fast_response(data: bytes) -> None:
    """No response is recognised that somebody reads in another way."""
    found = _grows("recognise_response", data)
    if not found:
        return
    size, length, status, chunked, _, _, closes = found
    rest = data[size:]
    if chunked:
        body = said_of_chunks([rest])
        if not body:
            return
        text, taken = body
        message = data[: size + taken]
    elif length <= _LARGEST:
        text = (rest + b"{" * length)[:length] if length >= 0 else rest
        message = data[:size] + text
    else:
        return
    version = data[5:8].decode()
    _compare(message, length >= 0 or chunked, Seen((version, status), [], not closes, text, True))


def _compare(message: bytes, is_framed: bool, ours: Seen) -> None:
    """Have the judges read a response, and the next one where this one can be followed."""
    following = _NEXT_RESPONSE if ours.keeps and is_framed else b""
    for name, judge in RESPONSE_JUDGES.items():
        try:
            first, *others = judge(message + following)
        except Declined:
            continue
        assert first.start == ours.start, name
        if is_framed:
            assert (first.body, first.is_whole) == (ours.body, True), name
            if ours.keeps:
                assert first.keeps, name
                assert [(one.start, one.body) for one in others] == [(("1.1", 299), b"next")], name
        else:
            assert not others, name


def said_of_chunks(cut: Iterable[bytes]) -> tuple[Any, ...] | None:
    """Return what both twins read from a body in chunks."""
    held = list(cut)
    found: tuple[Any, ...] | None = TWIN.read_chunks(held)
    assert found == http1_py.read_chunks(held), held
    return found


def fast_chunks(data: bytes) -> None:
    """A body in chunks does not depend on the pieces; nor is it another one to anybody else."""
    found = said_of_chunks([data[1:]])
    assert said_of_chunks(pieces(data)) == found
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    if found:
        text, taken = found
        _compare(head + data[1 : taken + 1], True, Seen(("1.1", 200), [], True, text, True))


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (fast_request, fast_response, fast_chunks)
}
