"""What must hold for any bytes; each target takes some and fails by an exception.

Coverage leads the bytes under `make fuzz`, hypothesis makes them up under `make test`. Where bytes
are fed in pieces, the first one says how they are cut.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from fuzz import recognisers
from fuzz.recognisers import pieces
from only1mcp import _speedups
from only1mcp._speedups import json_scan_py
from only1mcp.errors import InvalidParams, Only1MCPError, SessionNotFound
from only1mcp.ingress.http1 import UNREADABLE, Framer, Refused, Stage
from only1mcp.links.frames import FrameError, FrameReader, Kind, encode
from only1mcp.protocol.event_stream import EventReader, EventTooLong
from only1mcp.protocol.lines import LineReader, LineTooLong
from only1mcp.proxy.parking import Parking, Ticket
from only1mcp.sessions.session import SessionSealer

_FIELDS = json_scan_py.Envelope.__slots__
_LARGE, _SMALL = 1 << 20, 32
_NOW = 1_800_000_000
_KEY = bytes(range(32))


def json_scan(data: bytes) -> None:
    """Both twins say the same of any body, and no span leaves it."""
    pure = _outcome(json_scan_py.scan, data)
    assert _outcome(_speedups.scan, data) == pure
    if isinstance(pure, dict):
        spans = (at for name, at in pure.items() if name.endswith(("_start", "_end")))
        assert all(0 <= at <= len(data) for at in spans)
        start = pure["params_start"] or pure["result_start"]
        for twin in ("members", "elements"):
            by_pure = _outcome(getattr(json_scan_py, twin), data, start)
            assert _outcome(getattr(_speedups, twin), data, start) == by_pure


def _outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        found = function(*arguments)
    except Only1MCPError as error:
        return type(error)
    return found if isinstance(found, list) else {x: getattr(found, x) for x in _FIELDS}


def event_stream(data: bytes) -> None:
    """The events do not depend on the pieces, and what is held stays small."""
    whole = EventReader(_LARGE).feed(data[1:])
    reader = EventReader(_LARGE)
    assert [event for piece in pieces(data) for event in reader.feed(piece)] == whole
    bounded = EventReader(_SMALL)
    with suppress(EventTooLong):
        for piece in pieces(data):
            bounded.feed(piece)


def lines(data: bytes) -> None:
    """The lines do not depend on the pieces, nor on those that were too long before them."""
    whole = LineReader(_LARGE).feed(data[1:])
    reader = LineReader(_LARGE)
    assert [line for piece in pieces(data) for line in reader.feed(piece)] == whole
    assert all(line and b"\n" not in line for line in whole)
    bounded = LineReader(_SMALL)
    for piece in pieces(data):
        with suppress(LineTooLong):
            bounded.feed(piece)
    with suppress(LineTooLong):
        bounded.feed(b"\n")
    assert bounded.feed(b"next\n") == [b"next"]


def frame(payload: bytes) -> bytes:
    """Write a frame of a link."""
    return encode(Kind.CALL, 7, payload)


def frames(data: bytes) -> None:
    """The frames do not depend on the pieces, and are what would be written for them."""
    whole, reader = FrameReader(), FrameReader()
    try:
        expected = whole.feed(data[1:])
    except FrameError:
        _refused(lambda: [reader.feed(piece) for piece in pieces(data)], FrameError)
        return
    found = [frame for piece in pieces(data) for frame in reader.feed(piece)]
    assert found == expected
    assert data[1:].startswith(b"".join(encode(*each) for each in found))


_sealer = SessionSealer(_KEY)
_SESSION = _sealer.seal(_sealer.create("2025-11-25", b'{"elicitation":{}}', b"{}", _NOW))
_parking = Parking("1.0", _KEY)
_STATE = _parking._seal(Ticket("1.0", 7, "0" * 64))


def _altered(genuine: str, edits: bytes) -> str:
    """Overwrite some characters: two bytes say which, one what with, 0 taking it away."""
    text = list(genuine)
    for at in range(0, len(edits) - 2, 3):
        place = int.from_bytes(edits[at : at + 2]) % len(text)
        text[place] = chr(edits[at + 2]) if edits[at + 2] else ""
    return "".join(text)


def session_id(data: bytes) -> None:
    """No text opens but the one that was sealed."""
    for text in data.decode("utf-8", "surrogateescape"), _altered(_SESSION, data):
        if text != _SESSION:
            _refused(lambda: SessionSealer(_KEY).open(text, _NOW), SessionNotFound)  # noqa: B023
    assert SessionSealer(_KEY).open(_SESSION, _NOW).created == _NOW


def request_state(data: bytes) -> None:
    """No ticket is taken but the one that was sealed."""
    for text in data.decode("utf-8", "surrogateescape"), _altered(_STATE, data):
        if text != _STATE:
            _refused(lambda: _parking.read(text), InvalidParams)  # noqa: B023
    assert _parking.read(_STATE).number == 7


def _refused(work: Callable[[], object], kind: type[Exception]) -> None:
    with suppress(kind):
        raise AssertionError(f"accepted: {work()}")


def http1(data: bytes) -> None:
    """A verdict does not depend on the pieces, and the parser behind sees the same requests."""
    whole, reader = _framer(), _framer()
    try:
        passed = whole.feed(data[1:])
    except Refused:
        _refused(lambda: [reader.feed(piece) for piece in pieces(data)], Refused)
        return
    given = passed.removesuffix(UNREADABLE) if whole.stage is Stage.BROKEN else passed
    assert data[1:].startswith(given)
    assert b"".join(map(reader.feed, pieces(data))) == passed
    assert (reader.stage, reader.requests) == (whole.stage, whole.requests)
    _parse_behind(passed, whole.requests)


def _framer() -> Framer:
    return Framer(1000, 5000, b"/ws")


_loop = asyncio.new_event_loop()


def _parse_behind(passed: bytes, requests: int) -> None:
    """Let aiohttp parse what passed: it may refuse it, and may not see other requests in it."""
    parser = HttpRequestParser(BaseProtocol(_loop), _loop, 2**16)
    with suppress(HttpProcessingError):
        messages, _, _ = parser.feed_data(passed)
        assert len(messages) == requests


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (json_scan, event_stream, lines, frames, session_id, request_state, http1)
} | recognisers.TARGETS
