"""HTTP responses: bytes in, whole bodies out. Reads what a server of MCP may send, no more."""

import re
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_STREAM = re.compile(rb"\r\ncontent-type:[ \t]*text/event-stream", re.IGNORECASE)
_SESSION = re.compile(rb"\r\nmcp-session-id:[ \t]*([^\r]+)\r\n", re.IGNORECASE)
_MAX_HEAD = 65_536
_EMPTY = (204, 304)


class Malformed(ValueError):
    """What came is no HTTP response."""


@dataclass(slots=True)
class Response:
    """One response."""

    status: int
    head: bytes
    body: bytes = b""

    @property
    def is_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return _STREAM.search(self.head) is not None

    @property
    def closes(self) -> bool:
        """Whether the server ends the connection after it."""
        return _CLOSE.search(self.head) is not None

    @property
    def session(self) -> bytes | None:
        """The legacy session that it opens."""
        found = _SESSION.search(self.head)
        return found.group(1) if found else None


class ResponseReader:
    """Reads the responses of one connection, one after the other."""

    def __init__(self) -> None:
        self._rest = b""
        self._response: Response | None = None
        self._length: int | None = None
        self._is_chunked = False
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> Response | None:
        """Return the response that these bytes complete.

        Raises:
            Malformed: they are none.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        while self._response is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _MAX_HEAD:
                    raise Malformed("a head without an end")
                self._rest = data
                return None
            self._begin(data[: end + 2])
            data = data[end + 4 :]
        if self._is_chunked:
            return self._feed_chunks(data)
        if self._length is None or len(data) < self._length:
            self._rest = data
            return None
        self._rest = data[self._length :]
        return self._finish(data[: self._length])

    def end(self) -> Response | None:
        """Return the response that the end of the connection completes."""
        if self._response is None or self._is_chunked or self._length is not None:
            return None
        return self._finish(self._rest)

    def _begin(self, head: bytes) -> None:
        found = _STATUS.match(head)
        if found is None:
            raise Malformed(f"no status line: {head[:60]!r}")
        status = int(found.group(1))
        if status < 200:  # an interim response; the one that counts comes next
            return
        length = _LENGTH.search(head)
        self._is_chunked = _CHUNKED.search(head) is not None
        self._length = 0 if status in _EMPTY else int(length.group(1)) if length else None
        self._response = Response(status, head)

    def _feed_chunks(self, data: bytes) -> Response | None:
        while (end := data.find(b"\r\n")) >= 0:
            try:
                size = int(data[:end].partition(b";")[0], 16)
            except ValueError:
                raise Malformed(f"no chunk: {data[:20]!r}") from None
            if len(data) < end + size + 4:
                break
            chunk = data[end + 2 : end + 2 + size]
            data = data[end + size + 4 :]
            if size == 0:
                self._rest = data
                return self._finish(b"".join(self._chunks))
            self._chunks.append(chunk)
        self._rest = data
        return None

    def _finish(self, body: bytes) -> Response:
        response = self._response
        assert response is not None
        response.body = body
        self._response = None
        self._chunks = []
        return response
