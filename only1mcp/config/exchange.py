"""Putting a file in the place of another one so that the other can still be had back."""

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_HERE = -100
"""AT_FDCWD: paths are taken as everywhere else."""
_EXCHANGE = 2
"""RENAME_EXCHANGE."""


def exchange(one: Path, other: Path) -> bool:
    """Let two files change places, in one step; False where the system cannot do that."""
    rename = getattr(_libc, "renameat2", None)  # not every C library has it
    if rename is None:
        return False
    done: int = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return done == 0
