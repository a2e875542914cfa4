"""Server-sent events: bytes ↔ events (WHATWG HTML, Server-sent events)."""

from dataclasses import dataclass


@dataclass(slots=True)
class Event:
    """One event of a stream."""

    data: bytes
    event: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class EventTooLong(ValueError):
    """An event grew past the limit without an end."""


class EventReader:
    """Cuts a stream of bytes into events, whatever the line ends and wherever the chunks break."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        """The unfinished line, as it came: joined once, however many chunks it takes."""
        self._held = 0
        self._after_cr = False
        """Whether a LF that comes first belongs to the line end before it."""
        self._first = True
        self._reset()

    def _reset(self) -> None:
        self._data: list[bytes] = []
        self._size = 0
        self._event = "message"
        self._id: str | None = None
        self._retry: int | None = None
        self._any = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this chunk completes.

        Raises:
            EventTooLong: an unfinished event passes the limit.
        """
        found: list[Event] = []
        for line in self._lines(chunk):
            if line:
                self._field(line)
                continue
            if self._any:
                found.append(Event(b"\n".join(self._data), self._event, self._id, self._retry))
            self._reset()
        if self._size + self._held > self._limit:
            raise EventTooLong(f"an event passes {self._limit} bytes")
        return found

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes; a CR ends a line without waiting for LF."""
        if not chunk:
            return []
        text = chunk.removeprefix(b"\n") if self._after_cr else chunk
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._pieces, lines[0]])
            self._pieces.clear()
            self._held = 0
            if self._first:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
                self._first = False
        self._pieces.append(rest)
        self._held += len(rest)
        return lines

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._any = True
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._event = value.decode(errors="replace") or "message"
        elif name == b"id" and b"\0" not in value:
            self._any = True
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            self._any = True
            self._retry = int(value)


def encode(data: bytes, *, event: str = "message", event_id: str | None = None) -> bytes:
    """Write one event; whatever ends a line inside the data becomes a line of its own."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    head = b"event: %b\n" % event.encode() + (b"id: %b\n" % event_id.encode() if event_id else b"")
    return head + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
