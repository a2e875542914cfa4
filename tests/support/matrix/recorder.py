"""What a server was sent and what became of it, as lines of JSON in a file that tests read.

All processes of one server append to the same file; a line is written at once, so none is torn.
"""

import itertools
import json
import os
from pathlib import Path
from typing import Any


class Recorder:
    """Writes the lines of one process.

    Args:
        path: the file; without one nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = None if path is None else os.open(path, flags, 0o600)
        self._connections = itertools.count(1)

    def connection(self) -> str:
        """Name a new connection."""
        return f"{os.getpid()}-{next(self._connections)}"

    def note(self, kind: str, **facts: Any) -> None:
        """Write a line."""
        if self._file is not None:
            os.write(self._file, json.dumps({"kind": kind, **facts}).encode() + b"\n")

    def fault(self, what: str, raw: str = "") -> None:
        """Note that the other side broke a rule of the protocol."""
        self.note("fault", what=what, raw=raw)
