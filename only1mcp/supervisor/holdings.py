"""What a supervisor holds as long as it runs, and hands over to the program that follows it."""

import socket
from dataclasses import dataclass

from only1mcp.links.runtime_dir import RuntimeDir, for_port
from only1mcp.supervisor.handover import NONE, Handover


@dataclass(frozen=True, slots=True)
class Holdings:
    """Taken at the start, or from the one before."""

    listeners: list[socket.socket]
    """One for each worker, and those of workers that are no more."""
    demo: socket.socket | None
    """The demonstration server's, if it runs."""
    runtime_dir: RuntimeDir
    """Locked and ours."""
    lock: int
    """Descriptor of that lock."""
    handover: Handover | None = None
    """What the one before left besides; None where there was none."""
    is_private: bool = False
    """Whether the gateway is one client's own, which ends with it: nobody may take our place."""

    @property
    def port(self) -> int:
        """Where clients find us."""
        return int(self.listeners[0].getsockname()[1])

    @property
    def generation(self) -> int:
        """How many supervisors there were here, we included."""
        return 1 if self.handover is None else self.handover.generation


def taken_over(handover: Handover) -> Holdings:
    """Return what another supervisor held."""
    demo = None if handover.demo == NONE else socket.socket(fileno=handover.demo)
    listeners = list(handover.sockets())
    port = listeners[0].getsockname()[1]
    return Holdings(listeners, demo, for_port(port), handover.lock, handover)
