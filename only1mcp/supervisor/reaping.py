"""Takes leave of the children that have ended, whoever started them."""

import contextlib
import os
from collections.abc import Iterator


def reaped() -> Iterator[tuple[int, int]]:
    """Yield the pid and the wait status of each child that has ended by now."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, status
