"""What the matrix servers were sent, as tests read it."""

import json
from pathlib import Path
from typing import Any

from tests.matrix.sides import Plain
from tests.support.loop import eventually


class Records:
    """The record of one server."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self._rows: list[Plain] = []

    def close(self) -> None:
        """Read no more."""
        self._file.close()

    @property
    def rows(self) -> list[Plain]:
        """All lines so far."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._rows += map(json.loads, lines)
        return self._rows

    def find(self, kind: str, holds: str = "", **facts: Any) -> list[Plain]:
        """Return the lines of a kind with these facts, and with a text in the message."""
        return [row for row in self.rows if _fits(row, kind, holds, facts)]

    async def wait(self, kind: str, holds: str = "", **facts: Any) -> Plain:
        """Wait for the first such line."""
        seen = 0

        def first() -> Plain | None:
            nonlocal seen
            begin, seen = seen, len(self.rows)
            new = (row for row in self._rows[begin:seen] if _fits(row, kind, holds, facts))
            return next(new, None)

        return await eventually(first, f"a record {kind} {holds} {facts}")


def _fits(row: Plain, kind: str, holds: str, facts: Plain) -> bool:
    return (
        row["kind"] == kind
        and holds in row.get("raw", "")
        and all(row.get(key) == value for key, value in facts.items())
    )
