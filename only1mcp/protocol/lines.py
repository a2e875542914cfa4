"""Newline-delimited messages, the framing of stdio (basic/transports/stdio)."""

_KEPT = 4096
"""Bytes of either end of a line that is skipped."""


class LineTooLong(ValueError):
    """A line grew past the limit without an end."""

    def __init__(self, limit: int, before: list[bytes], held: bytes) -> None:
        super().__init__(f"a line passes {limit} bytes")
        self.before = before
        """The lines that the same bytes completed before it."""
        self.held = held
        """What has come of it so far."""


class LineReader:
    """Cuts a stream of bytes into lines, holding at most `limit` bytes of an unfinished one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their ends; empty lines are dropped.

        Raises:
            LineTooLong: the unfinished line passes the limit; the reader starts anew.
        """
        *complete, rest = data.split(b"\n")
        if complete and self._pieces:
            complete[0] = b"".join([*self._pieces, complete[0]])
            self._pieces.clear()
            self._held = 0
        lines = [line for raw in complete if (line := raw.strip(b" \t\r"))]
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._held > self._limit:
            held = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
            raise LineTooLong(self._limit, lines, held)
        return lines


class SkippedLine:
    """Both ends of a line that nobody holds whole."""

    def __init__(self, begun: bytes) -> None:
        self.head = begun[:_KEPT]
        self.tail = begun[-_KEPT:]
        self.size = len(begun)

    def add(self, piece: bytes) -> None:
        """Take more of it."""
        self.head += piece[: _KEPT - len(self.head)]
        self.tail = (self.tail + piece[-_KEPT:])[-_KEPT:]
        self.size += len(piece)


class LineSkipper:
    """Cuts a stream of bytes into lines; of those that pass the limit it keeps the ends."""

    def __init__(self, limit: int) -> None:
        self._reader = LineReader(limit)
        self._skipped: SkippedLine | None = None

    @property
    def skipped_bytes(self) -> int:
        """How much has come of a line that is being skipped."""
        return self._skipped.size if self._skipped is not None else 0

    def feed(self, data: bytes) -> list[bytes | SkippedLine]:
        """Return the lines that these bytes complete; empty lines are dropped."""
        found: list[bytes | SkippedLine] = []
        if self._skipped is not None:
            piece, end, data = data.partition(b"\n")
            self._skipped.add(piece)
            if not end:
                return []
            found.append(self._skipped)
            self._skipped = None
        try:
            found += self._reader.feed(data)
        except LineTooLong as error:
            found += error.before
            self._skipped = SkippedLine(error.held)
        return found
