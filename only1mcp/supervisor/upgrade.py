"""The newly installed program is started beside this one, and takes over once it serves.

As long as it does not, nothing has changed; if it cannot, nothing will have.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from only1mcp.supervisor import bond
from only1mcp.supervisor.handover import VARIABLE, Handover

PATIENCE_S = 90.0
"""How long the new program may take until it serves."""
END_S = 15.0
"""How long one that failed may take to end."""
_STDERR = 2
_SAID_BYTES = 2000
OFFERED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Upgrade:
    """One attempt.

    Args:
        make: makes the handover, given our socket's other end and where messages are to go.
        now: monotonic seconds.
    """

    def __init__(self, make: Callable[[int, int], Handover], now: float) -> None:
        self.ended_with = 0
        """The exit code of the new program, once it has ended."""
        self.failure = ""
        """Why it will not be; empty while it may."""
        self.taken_over = False
        """Whether the clients are the other one's."""
        self._deadline = now + PATIENCE_S
        self.bond, theirs = bond.pair()
        self._said = os.memfd_create("only1mcp-upgrade", os.MFD_CLOEXEC)
        stderr = os.dup(_STDERR)
        self.pid = 0
        try:
            self.pid = _spawn(make(theirs.fileno(), stderr), self._said)
        except OSError as error:
            self.failure = f"it cannot be started: {error}"
        finally:
            os.close(stderr)
            theirs.close()

    def is_ready(self, now: float) -> bool:
        """Say whether the new program serves; True once."""
        if self.failure or self.taken_over:
            return False
        word = self.bond.hear()
        if word == bond.READY:
            self.taken_over = True
            os.close(self._said)
        elif word is not None or now > self._deadline:
            self._fail("it has ended" if word == bond.GONE else "it does not come to serve")
            self._deadline = now + END_S
        return self.taken_over

    def is_over(self, now: float) -> bool:
        """Say whether nothing is left of an attempt that failed."""
        if self.pid and now > self._deadline:
            self.signal(signal.SIGKILL)
        return bool(self.failure) and not self.pid

    def ended(self, status: int) -> None:
        """Note that the new program's process is no more."""
        self.pid = 0
        self.ended_with = os.waitstatus_to_exitcode(status)
        self._fail(f"it ended with exit code {self.ended_with}")

    def give_up(self) -> None:
        """End the attempt."""
        self._fail("it is not wanted any more")

    def leave(self, *, stays: bool) -> None:
        """Leave the clients to the other one; we go, or stay as its anchor."""
        self.bond.say(bond.ANCHOR if stays else bond.LEAVE)

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _fail(self, why: str) -> None:
        if self.taken_over or self.failure:
            return
        with os.fdopen(self._said, "rb") as file:
            file.seek(0)
            said = file.read().decode(errors="replace").strip()[-_SAID_BYTES:]
        self.failure = f"{why}: {said}" if said else f"{why}; see the log"
        self.bond.close()
        self.signal(signal.SIGTERM)


def _spawn(handover: Handover, stderr: int) -> int:
    """Start the program that is installed now, as we were started."""
    file = handover.write()
    duplicates = [(os.POSIX_SPAWN_DUP2, one, one) for one in (*handover.descriptors, file)]
    command = [sys.executable, *sys.orig_argv[1:]]
    try:
        return os.posix_spawn(
            sys.executable, command, {**_environment(os.environ), VARIABLE: str(file)},
            # Its first messages may say why it fails; it has the real one among the descriptors.
            file_actions=[*duplicates, (os.POSIX_SPAWN_DUP2, stderr, _STDERR)],
            # Ctrl-C reaches the anchor alone, which passes it on once.
            setpgroup=0, setsigmask=(), setsigdef=OFFERED,
        )  # fmt: skip
    finally:
        os.close(file)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what is about this very process."""
    return {name: value for name, value in ours.items() if name != "WATCHDOG_PID"}
