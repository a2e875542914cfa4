"""What a child inherits from the supervisor by the fork."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from only1mcp.config.settings import Settings
from only1mcp.config.sight import Seen
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import SharedMemory
from only1mcp.memory.processes import ProcessRow, row_index
from only1mcp.memory.published import Published
from only1mcp.observability.metrics import MetricsPlan, MetricsWriter
from only1mcp.process.bells import Bells
from only1mcp.process.pages import Ranges


def _as_they_are(settings: Settings) -> Settings:
    return settings


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings come from, now and at each reload."""

    path: Path | None
    """The file; None when there is none."""
    environment: Mapping[str, str] = field(repr=False)
    finish: Callable[[Settings], Settings] = _as_they_are
    """Adds what stands in no file: the servers of the demonstration."""
    seen: Seen | None = None
    """What the file was just before it was read for the start."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The same for every child."""

    settings: Settings
    memory: SharedMemory
    runtime_dir: RuntimeDir
    port: int
    lifeline: int
    """Read end of a pipe that closes when the supervisor dies."""
    session_key: bytes = field(repr=False)
    board_key: bytes = field(repr=False)
    ended_lock: int = -1
    """Descriptor of the file lock that guards the ended sessions."""
    started_ns: int = 0
    """Monotonic nanoseconds of the gateway's start."""
    source: Source | None = None
    published: Published | None = None
    """Where newer settings than ours will be."""
    bells: Bells | None = None
    predecessor: RuntimeDir | None = None
    """The folder of the program whose place ours is to take; None once it has."""
    unchanged: Ranges = ()
    """Of the files that every process has mapped, what it can drop at any time."""

    @property
    def metrics_plan(self) -> MetricsPlan:
        """The slots of every metrics row."""
        return plan_of(self.settings)


@dataclass(frozen=True, slots=True)
class Context:
    """One child's own part."""

    shared: Shared
    role: str
    index: int = 0
    """Which of several with this role; workers count from 0."""
    listener: socket.socket | None = None
    """The listening socket of a worker or of the demonstration server."""
    known: tuple[socket.socket, ...] = ()
    """All that there were when a worker was forked: it may have to stand in for others."""

    @property
    def name(self) -> str:
        """What logs and process lists call it."""
        return f"{self.role}-{self.index}" if self.role == "worker" else self.role

    @property
    def row_number(self) -> int:
        """Which row of every table is its own."""
        return row_index(self.role, self.index)

    @property
    def row(self) -> ProcessRow:
        """Its row of the process table."""
        return ProcessRow(self.shared.memory.process_row(self.row_number))

    @property
    def metrics(self) -> MetricsWriter:
        """Its row of the metrics."""
        row = self.shared.memory.metrics_row(self.row_number)
        return MetricsWriter(self.shared.metrics_plan, row)


def plan_of(settings: Settings) -> MetricsPlan:
    """Return which metric slots are whose."""
    known = tuple(server.id for server in settings.servers)
    removed = frozenset(settings.slots) - frozenset(known)
    return MetricsPlan(settings.slots or known, removed, settings.client_ids)
