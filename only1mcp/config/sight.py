"""What a file looks like from outside: enough to tell that it is another one, or was written."""

import os
from pathlib import Path

Seen = tuple[int, int, int, int]


def look(path: Path) -> Seen | None:
    """Look at a file, through all links; None when it is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat costs three times as much
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
