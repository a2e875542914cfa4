"""What a child inherits from the supervisor by the fork."""

import socket
from dataclasses import dataclass, field

from only1mcp.config.settings import Settings
from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import SharedMemory
from only1mcp.memory.processes import ProcessRow, row_index
from only1mcp.observability.metrics import MetricsPlan, MetricsWriter


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

    @property
    def metrics_plan(self) -> MetricsPlan:
        """The slots of every metrics row."""
        return MetricsPlan(tuple(server.id for server in self.settings.servers))


@dataclass(frozen=True, slots=True)
class Context:
    """One child's own part."""

    shared: Shared
    role: str
    index: int = 0
    """Which of several with this role; workers count from 0."""
    listener: socket.socket | None = None
    """The listening socket of a worker or of the demonstration server."""

    @property
    def name(self) -> str:
        """What logs and process lists call it."""
        return f"{self.role}-{self.index}" if self.role == "worker" else self.role

    @property
    def row(self) -> ProcessRow:
        """Its row of the process table."""
        number = row_index(self.role, self.index)
        return ProcessRow(self.shared.memory.process_row(number))

    @property
    def metrics(self) -> MetricsWriter:
        """Its row of the metrics."""
        number = row_index(self.role, self.index)
        return MetricsWriter(self.shared.metrics_plan, self.shared.memory.metrics_row(number))
