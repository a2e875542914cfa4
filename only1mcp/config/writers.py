"""Whether somebody has a file open for writing: what it says now may be the half of something.

Linux grants a lease for reading on a file only while nobody has it open for writing. It is asked
for, and given back at once.
"""

import fcntl
import os
import signal
import stat
import time
from pathlib import Path

from only1mcp.config.sight import Seen, look

PATIENCE_S = 2.0
"""For so long is waited until a file is closed that is wanted now."""
LOOK_S = 0.02
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without O_NONBLOCK, to open what has become a pipe would be to wait for its writer."""


def is_written(path: Path) -> bool:
    """Say whether somebody has a file open for writing; nothing here waits.

    No, where that cannot be known: of a file that is another user's, or far away.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        return _is_refused(descriptor)
    finally:
        os.close(descriptor)


def _is_refused(descriptor: int) -> bool:
    """Say whether a lease is refused because of a writer."""
    try:
        # Who opens the file during the lease has us told, by default with SIGIO, which would end
        # this process; SIGURG does nothing to one that does not ask for it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def is_still(path: Path, seen: Seen | None) -> bool:
    """Say whether a file is what it was, and nobody is about to change that."""
    return look(path) == seen and not is_written(path)


def wait_closed(path: Path, until: float) -> bool:
    """Wait, to a time of the monotonic clock at most, until nobody writes; say whether that is so.

    This blocks, and is not for event loops.
    """
    while is_written(path):
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_S)
    return True
