"""Whether somebody has a file open for writing: what it says now may be the half of something.

Linux grants a lease for reading on a file only while nobody has it open for writing. It is asked
for, and given back at once.
"""

import fcntl
import os
import signal
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

from only1mcp.config.sight import Seen, look

PATIENCE_S = 2.0
"""For so long is waited until a file is closed that is wanted now."""
LOOK_S = 0.02
HELD_S = 10.0
"""Who has a file open and has not changed it for so long is not saving it."""
_FAR = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs")
"""File systems, by how their names begin, that refuse leases for reasons of their own."""
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
        return _is_refused(descriptor) and not _is_far(os.fstat(descriptor).st_dev)
    finally:
        os.close(descriptor)


def is_being_saved(path: Path) -> bool:
    """Say whether somebody has a file open for writing, and has changed it a moment ago.

    For readers: who keeps a file open for good does not keep them from what others save there.
    """
    seen = look(path)
    now = datetime.now(UTC).timestamp()
    return seen is not None and now - seen[2] / 1e9 < HELD_S and is_written(path)


def _is_far(device: int) -> bool:
    """Say whether a file lies where the refusal of a lease says nothing of writers."""
    name = f"{os.major(device)}:{os.minor(device)}"
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kinds = (mount[mount.index("-") + 1] for mount in mounts if mount[2] == name)
    return any(kind.startswith(_FAR) for kind in kinds)


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


def is_saved(path: Path, seen: Seen | None) -> bool:
    """Say whether a file is what it was, and can be read as such."""
    return look(path) == seen and not is_being_saved(path)


def wait_closed(path: Path, until: float) -> bool:
    """Wait, to a time of the monotonic clock at most, until nobody writes; say whether that is so.

    This blocks, and is not for event loops.
    """
    while is_written(path):
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_S)
    return True
