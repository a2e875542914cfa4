"""Putting a file in the place of another one so that the other can still be had back."""

import ctypes
import errno
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_HERE = -100
"""AT_FDCWD: paths are taken as everywhere else."""
_EXCHANGE = 2
"""RENAME_EXCHANGE."""


_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Let two files change places, in one step; False where the system cannot do that.

    Raises:
        OSError: it can, but not these: one of them is gone, for instance.
    """
    rename = getattr(_libc, "renameat2", None)  # not every C library has it
    if rename is None:
        return False
    done: int = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
