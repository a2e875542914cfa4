"""The part of HTTP/1.1 that no client may bend: heads and framing, checked before anything acts.

A request that two parsers could read differently is refused here, whatever stands behind (RFC 9112,
sections 2.2, 3.2, 5, 6.1, 6.3 and 11.2). Pure: bytes in, verdicts out.
"""

import re
from dataclasses import dataclass
from enum import Enum

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = re.compile(rb"[0-9]{1,12}")
_ONCE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization",
     b"origin", b"cookie"}
)  # fmt: skip
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 8192


class Refused(Exception):
    """The request must not be served; the connection ends with this status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Head:
    """What framing needs to know of one request's head."""

    method: bytes
    target: bytes
    content_length: int
    chunked: bool
    upgrade: bool


def parse_head(block: bytes) -> Head:
    """Check one head, its final empty line left out.

    Raises:
        Refused: it breaks the grammar, or could be read in two ways.
    """
    lines = block.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise Refused(400, "the request line is malformed")
    fields: dict[bytes, bytes] = {}
    for raw in lines[1:]:
        name, value = _field(raw)
        if name in fields and name in _ONCE:
            raise Refused(400, f"header {name.decode()} stands more than once")
        fields[name] = value
    minor = line.group(3)
    if minor == b"1" and b"host" not in fields:
        raise Refused(400, "header Host is missing")
    length, chunked = _framing(fields, minor)
    upgrade = b"upgrade" in fields and b"upgrade" in fields.get(b"connection", b"").lower()
    return Head(line.group(1), line.group(2), length, chunked, upgrade)


def _field(raw: bytes) -> tuple[bytes, bytes]:
    name, colon, value = raw.partition(b":")
    if not colon or _NAME.fullmatch(name) is None:
        raise Refused(400, "a header name is malformed")
    value = value.strip(b" \t")
    if _VALUE.fullmatch(value) is None:
        raise Refused(400, "a header value holds a control character")
    return name.lower(), value


def _framing(fields: dict[bytes, bytes], minor: bytes) -> tuple[int, bool]:
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Refused(400, "Content-Length and Transfer-Encoding exclude each other")
        if coding.lower() != b"chunked" or minor != b"1":
            raise Refused(400, "the only transfer coding is chunked, in HTTP/1.1")
        return 0, True
    if length is None:
        return 0, False
    if _DIGITS.fullmatch(length) is None:
        raise Refused(400, "Content-Length is malformed")
    return int(length), False


class Stage(Enum):
    """What the framer waits for."""

    HEAD = "head"
    BODY = "body"
    CHUNK = "chunk"
    TRAILER = "trailer"
    TUNNEL = "tunnel"
    """After an upgrade: no longer HTTP."""


class Framer:
    """Follows the requests on one connection and passes on the bytes of those that are in order."""

    def __init__(self, max_header: int, max_body: int) -> None:
        self._max_header = max_header
        self._max_body = max_body
        self._buffer = b""
        self._left = 0
        self._size = 0
        self.stage = Stage.HEAD
        self.requests = 0
        """Heads that were passed on."""

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come."""
        return self.stage is Stage.HEAD and not self._buffer

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that may go on to a parser; an unfinished head is held back.

        Raises:
            Refused: the request must not be served; nothing of these bytes may go on.
        """
        if self.stage is Stage.TUNNEL:
            return data
        self._buffer += data
        passed: list[bytes] = []
        while self._buffer:
            piece = self._step()
            if piece is None:
                break
            passed.append(piece)
        return b"".join(passed)

    def _step(self) -> bytes | None:
        """Take one piece from the buffer; None when more must come first."""
        if self.stage is Stage.HEAD:
            return self._head()
        if self.stage is Stage.BODY:
            return self._body()
        if self.stage is Stage.CHUNK:
            return self._chunk()
        if self.stage is Stage.TRAILER:
            return self._trailer()
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        piece, self._buffer = self._buffer[:count], self._buffer[count:]
        return piece

    def _head(self) -> bytes | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end > self._max_header or (end < 0 and len(self._buffer) > self._max_header):
            raise Refused(431, f"the headers pass {self._max_header} bytes")
        if end < 0:
            if b"\n" in self._buffer.replace(b"\r\n", b""):
                raise Refused(400, "a line ends without CR LF")
            return None
        head = parse_head(self._buffer[:end])
        if head.content_length > self._max_body:
            raise Refused(413, f"the body passes {self._max_body} bytes")
        self.requests += 1
        self._size = 0
        self._left = head.content_length
        if head.upgrade:
            self.stage = Stage.TUNNEL
        elif head.chunked:
            self.stage = Stage.CHUNK
        elif head.content_length:
            self.stage = Stage.BODY
        return self._take(end + 4)

    def _body(self) -> bytes:
        piece = self._take(self._left)
        self._left -= len(piece)
        if not self._left:
            self.stage = Stage.HEAD
        return piece

    def _chunk(self) -> bytes | None:
        """Take the rest of a chunk's data, or the next chunk's size line."""
        if self._left:
            piece = self._take(self._left)
            self._left -= len(piece)
            if not self._left and not piece.endswith(b"\n"):
                raise Refused(400, "a chunk does not end with CR LF")
            return piece
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_CHUNK_LINE or b"\n" in self._buffer:
                raise Refused(400, "a chunk size is malformed")
            return None
        line = _CHUNK_SIZE.fullmatch(self._buffer[:end])
        if line is None or end > _MAX_CHUNK_LINE:
            raise Refused(400, "a chunk size is malformed")
        size = int(line.group(1), 16)
        self._size += size
        if self._size > self._max_body:
            raise Refused(413, f"the body passes {self._max_body} bytes")
        self._left = size + 2 if size else 0
        if not size:
            self.stage = Stage.TRAILER
        return self._take(end + 2)

    def _trailer(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_TRAILERS:
                raise Refused(431, "the trailers are too long")
            return None
        if end == 0:
            self.stage = Stage.HEAD
            return self._take(2)
        self._size += end
        if self._size > self._max_body + _MAX_TRAILERS:
            raise Refused(431, "the trailers are too long")
        _field(self._buffer[:end])
        return self._take(end + 2)
