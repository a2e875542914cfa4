"""The few requests that we make of Linux about a process."""

import ctypes
import signal

_SET_PDEATHSIG, _SET_NAME, _SET_CHILD_SUBREAPER = 1, 15, 36
_prctl = ctypes.CDLL(None).prctl


def set_name(name: str) -> None:
    """Give this process a name for `ps`; 15 bytes are kept."""
    _prctl(_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def continue_as_orphan() -> None:
    """Run again when the parent dies, should this process be stopped then: it is to end as well."""
    _prctl(_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
