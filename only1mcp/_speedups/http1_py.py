"""What the fast lane recognises in HTTP, said in another way: the pure twin of its recognisers.

Nothing serves with it. It is what tests hold the compiled ones (`http_head.pxd`, `http_body.pxd`)
to, so it stays close to the rules and far from their code. An empty tuple stands for what is not
complete, None for what is not certainly of the one shape.

No header of a request may stand twice, not even one that means nothing to us: what readers make of
the second one differs, and a client that sends two is served behind the other door. Of a response
only what its framing hangs on must be single; elsewhere the first one counts.
"""

import re
from collections.abc import Iterable

_CR = 13
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"
_LINE = b"POST /mcp HTTP/1.1\r\n"
_REQUEST_FIELD = re.compile(
    rb"([A-Za-z0-9_-]{1,24}):[ \t]*((?:[\t\x20-\x7e]*[\x21-\x7e])?)[\t ]*\r\n"
)
_BEGUN_FIELD = re.compile(rb"[A-Za-z0-9_-]{0,24}(?::[\t\x20-\x7e]*.?)?", re.DOTALL)
_KNOWN = frozenset(
    {b"host", b"content-length", b"content-type", b"accept", b"mcp-protocol-version",
     b"mcp-method", b"mcp-name", b"mcp-session-id", b"connection", b"authorization",
     b"user-agent", b"accept-encoding", b"accept-language", b"sec-fetch-mode", b"traceparent",
     b"tracestate", b"baggage", b"x-request-id", b"cache-control", b"pragma", b"priority"}
)  # fmt: skip
_VALUES = {
    b"content-length": re.compile(rb"(?!0+$)[0-9]{1,9}"),
    b"content-type": re.compile(rb"application/json(; charset=utf-8)?", re.IGNORECASE),
    b"accept": re.compile(
        rb"application/json, ?text/event-stream|text/event-stream, application/json|\*/\*",
        re.IGNORECASE,
    ),
    b"connection": re.compile(rb"keep-alive", re.IGNORECASE),
}
"""The only values of these headers."""
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + _TEXT + rb"*)?\r\n")
_BEGUN_STATUS_LINE = re.compile(
    rb"HTTP/1\.[01] (?!101)[1-9][0-9]{2}(?: " + _TEXT + rb"*.?|\r)", re.DOTALL
)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_RESPONSE_FIELD = re.compile(rb"(" + _TOKEN + rb"+):[ \t]*(" + _TEXT + rb"*)\r\n")
_BEGUN_RESPONSE_FIELD = re.compile(_TOKEN + rb"*(?::" + _TEXT + rb"*.?)?", re.DOTALL)
_DIGITS = re.compile(rb"[0-9]{1,9}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,30})(?:[; \t]" + _TEXT + rb"*)?\r\n")
_BEGUN_CHUNK_LINE = re.compile(rb"(?:([0-9A-Fa-f]{1,30})(?:[; \t]" + _TEXT + rb"*)?\r?)?")
_TRAILER = re.compile(rb"[^\r\n]+\r\n")
_BEGUN_TRAILER = re.compile(rb"[^\r\n]*\r?")
LARGEST_CHUNK, LONGEST_LINES = 0xFFFFFFF, 8192


def recognise_request(data: bytes) -> tuple[object, ...] | None:
    """Return size, body length, host, version, method, name and session of a head."""
    if not data.startswith(_LINE):
        return () if _LINE.startswith(data) else None
    fields: dict[bytes, bytes] = {}
    at = len(_LINE)
    while len(data) >= at + 2 and data[at] != _CR:
        field = _REQUEST_FIELD.match(data, at)
        if field is None:
            return () if _BEGUN_FIELD.fullmatch(data, at) else None
        if not _note(fields, field.group(1).lower(), field.group(2)):
            return None
        at = field.end()
    if len(data) < at + 2:
        return ()
    needed = {b"host", b"content-length", b"content-type"}
    if data[at + 1 : at + 2] != b"\n" or not fields.keys() >= needed:
        return None
    return (
        at + 2, int(fields[b"content-length"]), fields[b"host"],
        *map(fields.get, (b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id")),
    )  # fmt: skip


def _note(fields: dict[bytes, bytes], name: bytes, value: bytes) -> bool:
    """Take one header; say whether it may stand here."""
    if name not in _KNOWN or name in fields:
        return False
    fields[name] = value
    return name not in _VALUES or _VALUES[name].fullmatch(value) is not None


def recognise_response(data: bytes) -> tuple[object, ...] | None:
    """Return size, body length, status, and whether it is chunked, events, JSON, and the last."""
    line = _STATUS_LINE.match(data)
    if line is None or line.group(2) == b"101":
        return () if len(data) < 13 or _BEGUN_STATUS_LINE.fullmatch(data) else None
    values: dict[bytes, list[bytes]] = {}
    at = line.end()
    frames: tuple[int, bool] | None = (-1, False)
    while len(data) >= at + 2 and data[at] != _CR:
        field = _RESPONSE_FIELD.match(data, at)
        if field is None:
            return () if _BEGUN_RESPONSE_FIELD.fullmatch(data, at) else None
        values.setdefault(field.group(1).lower(), []).append(field.group(2).rstrip(b" \t"))
        frames = _frames(values)
        if frames is None:
            return None
        at = field.end()
    if len(data) < at + 2:
        return ()
    if frames is None or data[at + 1 : at + 2] != b"\n":
        return None
    return _meaning(at + 2, line.group(1) == b"0", int(line.group(2)), frames, values)


def _frames(values: dict[bytes, list[bytes]]) -> tuple[int, bool] | None:
    """Return the body's length and whether it comes in chunks; None when that is not certain."""
    lengths = values.get(b"content-length", [])
    codings = values.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        return None
    if any(value.lower() != b"identity" for value in values.get(b"content-encoding", [])):
        return None
    if any(_DIGITS.fullmatch(value) is None for value in lengths):
        return None
    if any(value.lower() != b"chunked" for value in codings):
        return None
    return int(lengths[0]) if lengths else -1, bool(codings)


def _meaning(
    size: int, is_old: bool, status: int, frames: tuple[int, bool],
    values: dict[bytes, list[bytes]],
) -> tuple[object, ...] | None:  # fmt: skip
    """Put together what a whole head says."""
    length, chunked = frames
    if is_old and chunked:
        return None
    if status < 200 or status in (204, 304):
        length, chunked = 0, False
    kind = values.get(b"content-type", [b""])[0].lower().partition(b";")[0].rstrip(b" \t")
    is_last = any(value.lower() != b"keep-alive" for value in values.get(b"connection", []))
    return (
        size, length, status, chunked, kind == b"text/event-stream", kind == b"application/json",
        is_old or is_last,
    )  # fmt: skip


def read_chunks(pieces: Iterable[bytes]) -> tuple[bytes, int] | tuple[()] | None:
    """Return what a body in chunks carries, and how many bytes it takes, trailers included."""
    data, body, at = b"".join(pieces), b"", 0
    while True:
        line = _CHUNK_LINE.match(data, at) or _BEGUN_CHUNK_LINE.fullmatch(data, at)
        if line is None or line.end() - at > LONGEST_LINES:
            return None
        size = int(line.group(1) or b"0", 16)
        if size > LARGEST_CHUNK:
            return None
        if not line.group().endswith(b"\n"):
            return ()
        at = line.end()
        if size == 0:
            return _read_trailers(data, body, at)
        body += data[at : at + size]
        at += size
        end = data[at : at + 2]
        if end != b"\r\n":
            return () if b"\r\n".startswith(end) else None
        at += 2


def _read_trailers(data: bytes, body: bytes, at: int) -> tuple[bytes, int] | tuple[()] | None:
    """Step over the lines after the last chunk."""
    first = at
    while line := _TRAILER.match(data, at):
        at = line.end()
    if at - first > LONGEST_LINES:
        return None
    if data[at : at + 2] == b"\r\n":
        return body, at + 2
    return () if _BEGUN_TRAILER.fullmatch(data, at) else None
