"""Becomes the child: asks the kernel to end it with its parent, then executes the command.

Run as `python -I -S launcher.py PARENT_PID COMMAND [ARG...]`; it needs nothing but the standard
library, and stays no longer than the exec. A preexec function would do the same inside the parent,
but those are not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Our processes ignore the first two, Python the others; a program inherits what is ignored."""


def launch(parent: int, command: list[str]) -> None:
    """Execute the command; returns only by SystemExit.

    The environment is what the parent gave us. Programs without a slash are looked up in its PATH.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the parent has gone")
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, given_environment())  # noqa: S606 - an argument list, checked against the allow-list
    except OSError as error:
        raise SystemExit(f"cannot execute {command[0]}: {error.strerror}") from error


def given_environment() -> dict[bytes, bytes]:
    """Return what the parent gave us; Python adds LC_CTYPE to its own in the C locale (PEP 538)."""
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib takes longer to import
        entries = file.read().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2:])
