"""The part of HTTP/1.1 that no client may bend: heads and framing, checked before anything acts.

A request that two parsers could read differently is refused here, whatever stands behind (RFC 9112,
sections 2.2, 3.2, 5, 6.1, 6.3 and 11.2). Pure: bytes in, verdicts out.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = re.compile(rb"[0-9]{1,12}")
_ONCE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization",
     b"origin", b"cookie", b"upgrade", b"mcp-session-id"}
)  # fmt: skip
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 8192
UNREADABLE = b"\xff\xff"
"""The head of a frame that no WebSocket parser takes: the answer to it is a close with 1002."""
_LONGEST_FRAME_HEAD, _MASK_BYTES = 10, 4
"""The first without the mask, which belongs to what is stepped over."""


class Refused(Exception):
    """The request must not be served; the connection ends with this status."""

    def __init__(self, status: int, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.hint = hint


@dataclass(slots=True)
class Head:
    """What framing needs to know of one request's head."""

    method: bytes
    target: bytes
    content_length: int
    chunked: bool
    upgrades: bool = False
    """Whether what follows is no longer HTTP, if the answer says so."""
    expects: bool = False
    """Whether the client may wait for a word before it sends the body (RFC 9110, 10.1.1)."""


def parse_head(block: bytes, websocket: bytes | None = None) -> Head:
    """Check one head, its final empty line left out.

    Args:
        block: its lines.
        websocket: the one path on which WebSocket is offered; None for none.

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
    head = Head(line.group(1), line.group(2), length, chunked, expects=b"expect" in fields)
    upgrade = fields.get(b"upgrade", b"").lower()
    if head.method == b"CONNECT" or b"websocket" in upgrade:
        # What follows would no longer be HTTP: only where somebody behind us reads it.
        plain = head.method == b"GET" and minor == b"1" and not (length or chunked)
        if not plain or upgrade != b"websocket" or head.target.partition(b"?")[0] != websocket:
            raise Refused(501, "tunnels and WebSocket are not offered here")
        head.upgrades = True
    return head


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
    CHUNK_SIZE = "chunk size"
    CHUNK = "chunk"
    CHUNK_END = "chunk end"
    TRAILER = "trailer"
    UPGRADED = "upgraded"
    BROKEN = "broken"


class Framer:
    """Follows the requests on one connection and passes on the bytes of those that are in order.

    What passes is what came, from the first byte on: a step only moves the mark up to which the
    buffer is in order, so that many small pieces cost no more than a few large ones.
    """

    def __init__(self, max_header: int, max_body: int, websocket: bytes | None = None) -> None:
        self._max_header = max_header
        self._max_body = max_body
        self._websocket = websocket
        self._buffer = b""
        self._at = 0
        """The mark; 0 between two feeds."""
        self._left = 0
        self._size = 0
        self._expects = False
        self.announced = 0
        """How long the body of the last request is to be, in bytes; 0 if that is not known."""
        self.stage = Stage.HEAD
        self.requests = 0
        """Heads that were passed on."""

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come."""
        if self.stage is Stage.HEAD:
            return not self._buffer
        return self.stage in (Stage.UPGRADED, Stage.BROKEN)

    @property
    def awaits_body(self) -> bool:
        """Whether the client is to send more of a body, and waits for no word of ours."""
        return not (self._expects or self.stage in (Stage.HEAD, Stage.UPGRADED, Stage.BROKEN))

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that may go on to a parser; an unfinished head is held back.

        Raises:
            Refused: the request must not be served; nothing of these bytes may go on.
        """
        self._buffer += data
        while self._at < len(self._buffer) and self._STEPS[self.stage](self):
            pass
        passed, self._buffer = self._buffer[: self._at], self._buffer[self._at :]
        self._at = 0
        return passed

    def _line(self, limit: int) -> bytes | None:
        """Return the line at the mark and step over it; None when its end has not come."""
        last = self._at + limit + 2
        end = self._buffer.find(b"\r\n", self._at, last)
        if end < 0:
            if self._buffer.find(b"\n", self._at, last) >= 0:
                raise Refused(400, "a line ends without CR LF")
            if len(self._buffer) >= last:
                raise Refused(431, "a chunk size or a trailer is too long")
            return None
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line

    def _skip(self) -> None:
        """Step over as much of what is left as there is."""
        count = min(self._left, len(self._buffer) - self._at)
        self._at += count
        self._left -= count

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", self._at)
        size = (end if end >= 0 else len(self._buffer)) - self._at
        if size > self._max_header:
            raise Refused(431, f"the headers pass {self._max_header} bytes")
        if end < 0:
            if b"\n" in self._buffer[self._at :].replace(b"\r\n", b""):
                raise Refused(400, "a line ends without CR LF")
            return False
        head = parse_head(self._buffer[self._at : end], self._websocket)
        if head.content_length > self._max_body:
            raise Refused(413, f"the body passes {self._max_body} bytes")
        self.requests += 1
        self._size = 0
        self._left = self.announced = head.content_length
        self._expects = head.expects
        self._at = end + 4
        if head.upgrades:
            self.stage = Stage.UPGRADED
            self._left = 0
        elif head.chunked:
            self.stage = Stage.CHUNK_SIZE
        elif head.content_length:
            self.stage = Stage.BODY
        return True

    def _body(self) -> bool:
        self._skip()
        if not self._left:
            self.stage = Stage.HEAD
        return True

    def _chunk_size(self) -> bool:
        line = self._line(_MAX_CHUNK_LINE)
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise Refused(400, "a chunk size is malformed")
        self._left = int(match.group(1), 16)
        self._size += self._left
        if self._size > self._max_body:
            raise Refused(413, f"the body passes {self._max_body} bytes")
        self.stage = Stage.CHUNK
        if not self._left:
            self.stage = Stage.TRAILER
            self._left = _MAX_TRAILERS
        return True

    def _chunk(self) -> bool:
        self._skip()
        if not self._left:
            self.stage = Stage.CHUNK_END
        return True

    def _chunk_end(self) -> bool:
        end = self._buffer[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise Refused(400, "a chunk does not end with CR LF")
        if len(end) < 2:
            return False
        self._at += 2
        self.stage = Stage.CHUNK_SIZE
        return True

    def _trailer(self) -> bool:
        line = self._line(self._left)
        if line is None:
            return False
        if not line:
            self.stage = Stage.HEAD
            return True
        self._left = max(0, self._left - len(line) - 2)
        _field(line)
        return True

    def _upgraded(self) -> bool:
        """Let frames pass that are masked (RFC 6455, section 5.1); aiohttp takes others, too.

        Whoever answers the upgrade bounds them, or closes.
        """
        if self._left:
            self._skip()
            return True
        head = self._buffer[self._at : self._at + _LONGEST_FRAME_HEAD]
        if len(head) < 2:
            return False
        if not head[1] & 0x80:
            self._buffer = self._buffer[: self._at] + UNREADABLE
            self._at = len(self._buffer)
            self.stage = Stage.BROKEN
            return True
        extra = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        if len(head) < 2 + extra:
            return False
        size = int.from_bytes(head[2 : 2 + extra]) if extra else head[1] & 0x7F
        self._left = 2 + extra + _MASK_BYTES + size
        return True

    def _broken(self) -> bool:
        """Let nothing pass any more."""
        self._buffer = self._buffer[: self._at]
        return True

    _STEPS: ClassVar = {
        Stage.HEAD: _head, Stage.BODY: _body, Stage.CHUNK_SIZE: _chunk_size, Stage.CHUNK: _chunk,
        Stage.CHUNK_END: _chunk_end, Stage.TRAILER: _trailer, Stage.UPGRADED: _upgraded,
        Stage.BROKEN: _broken,
    }  # fmt: skip
    """What each stage does with the bytes at the mark; true when it stepped over some."""
