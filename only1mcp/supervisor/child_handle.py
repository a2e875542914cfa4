"""The supervisor's view of one child."""

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from only1mcp.memory.processes import State
from only1mcp.process.context import Context
from only1mcp.resilience.restart_policy import RestartPolicy


def _policy() -> RestartPolicy:
    return RestartPolicy(first_s=0.1, longest_s=5.0, park_after=1_000_000)


@dataclass(slots=True)
class ChildHandle:
    """A child that is to run: which, and whether it does."""

    context: Context
    pid: int = 0
    """0 while it does not run."""
    restart_at: float = 0.0
    """Monotonic seconds at which it is to be started again; only while it does not run."""
    place: int = 0
    """Which of the listening sockets is a worker's own."""
    has_served: bool = False
    """Whether it was ready once, if only for a moment."""
    outdated: bool = False
    """Whether another process is to take its place."""
    retiring: bool = False
    """Whether it drains, and is not to be started again."""
    aborted_at: float = 0.0
    """When it was found hanging; 0 while it is not."""
    policy: RestartPolicy = field(default_factory=_policy)

    @property
    def is_ready(self) -> bool:
        """Whether it runs, and says that it serves."""
        return bool(self.pid) and self.context.row.state is State.READY

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it: it does nothing, however idle the machine is."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[0] == b"T"

    def signal(self, number: signal.Signals) -> None:
        """Send the child a signal, if it runs."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
