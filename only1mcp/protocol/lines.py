"""Newline-delimited messages, the framing of stdio (basic/transports/stdio)."""


class LineTooLong(ValueError):
    """A line grew past the limit without an end."""

    def __init__(self, limit: int, before: list[bytes]) -> None:
        super().__init__(f"a line passes {limit} bytes")
        self.before = before
        """The lines that the same bytes completed before it."""


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
            self._pieces.clear()
            self._held = 0
            raise LineTooLong(self._limit, lines)
        return lines
