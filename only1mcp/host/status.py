"""What the host says of one server."""

import enum
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.host.member import Member
from only1mcp.registry.catalogue import Catalogue


class ServerState(enum.StrEnum):
    """Where a server stands."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"
    PARKED = "parked"
    STOPPED = "stopped"


@dataclass(slots=True)
class ServerStatus:
    """A server's state with its reason; what `only1mcp status` shows."""

    id: str
    transport: str
    state: ServerState = ServerState.STARTING
    detail: str = ""
    """Why it is not up, in words for a person."""
    is_late: bool = False
    """Whether its start takes so long that nobody waits for it: it may be installing itself."""
    down: dict[str, str] = field(default_factory=dict)
    """The instances that are down, and why."""
    replicas: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Pid, state and restarts of each process by its number, where there are several."""
    pid: int = 0
    restarts: int = 0
    next_start: float = 0.0
    """When a process that has ended is started again, in seconds of `time.monotonic`; 0 for none
    that waits for that. The longer it goes on to end, the longer it waits."""
    eras: tuple[str, ...] = ()
    version: str = ""
    """The server's own name and version."""
    tools: int = 0
    prompts: int = 0
    resources: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Give the status a form that JSON can carry."""
        return {**asdict(self), "state": self.state.value}

    def note(self, catalogue: Catalogue) -> None:
        """Take over what a catalogue says."""
        info = catalogue.info
        self.eras = tuple(sorted(era.value for era in catalogue.eras))
        self.version = f"{info.get('name', '')} {info.get('version', '')}".strip()[:100]
        self.tools = len(catalogue.tools)
        self.prompts = len(catalogue.prompts)
        self.resources = len(catalogue.resources)


def _ignore(*what: object) -> None:
    """Be nobody."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Whom a server's watcher tells."""

    on_status: Callable[[ServerStatus], None] = _ignore
    on_catalogue: Callable[[Catalogue, frozenset[str]], None] = _ignore
    """Takes a catalogue, and the kinds of lists that the server said have changed."""
    on_updated: Callable[[str, str, bytes], None] = _ignore
    """Takes a server's id, the URI of a resource that was updated, and the raw parameters."""
    on_logged: Callable[[str, bytes], None] = _ignore
    """Takes a server's id, and the raw parameters of a log message that belongs to no call."""
    on_task: Callable[[str, str, bytes], None] = _ignore
    """Takes a server's id, that of a task, and the raw parameters that tell of it."""
    on_said: Callable[[str, int, Envelope], None] = _ignore
    """Takes a server's id, the serial of a session, and what was said on its own connection."""
    on_lists_changed: Callable[[str], None] = _ignore
    """Takes the id of a server that has just said so, or may have: what it answered before may be
    out of date. The lists are yet to be read again."""
    on_outdated: Callable[[str, str], None] = _ignore
    """Takes a server's id, and the URI of a resource of whose update clients will hear later."""
    on_updated_for: Callable[[str, tuple[str, int], str, bytes], None] = _ignore
    """Takes a server's id, the principal and the features of the client that alone is to hear it,
    the URI of a resource that was updated, and the raw parameters."""
    on_own_lists: Callable[[str, int, Member, Envelope], None] = _ignore
    """Takes a server's id, the serial of a session, its own connection, and what was said there of
    a list that has changed."""
