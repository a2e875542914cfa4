"""Metrics of the event loops: how long each process keeps those waiting who come now."""

from collections.abc import Iterator

from only1mcp.memory.layout import SharedMemory
from only1mcp.memory.processes import read_processes, row_index
from only1mcp.observability.exposition import Family
from only1mcp.observability.metrics import HISTOGRAM, MetricsPlan, add_histogram


class LoopMetrics:
    """A collector of what was measured of each loop."""

    def __init__(self, plan: MetricsPlan, memory: SharedMemory) -> None:
        self._at = plan.loop
        self._memory = memory

    def collect(self) -> Iterator[Family]:
        """Yield every metric family."""
        labels = ("process",)
        waits = Family(
            "histogram", "only1mcp_event_loop_wait_seconds",
            "What a process keeps those waiting who come now; looked at forty times a second while "
            "it has work to do.",
            labels,
        )  # fmt: skip
        longest = Family(
            "gauge", "only1mcp_event_loop_longest_wait_seconds",
            "The longest such wait since the process slot was first used.", labels,
        )  # fmt: skip
        stalls = Family(
            "gauge", "only1mcp_event_loop_longest_stall_seconds",
            "The same without the time in which the kernel let others run.", labels,
        )  # fmt: skip
        for row in read_processes(self._memory):
            slots = self._memory.metrics_row(row_index(row.role, row.index))
            own = slots[self._at : self._at + HISTOGRAM + 2].tolist()
            name = f"{row.role}-{row.index}" if row.role == "worker" else row.role
            add_histogram(waits, [name], own, 0)
            longest.add([name], own[HISTOGRAM] / 1e6)
            stalls.add([name], own[HISTOGRAM + 1] / 1e6)
        yield from (waits, longest, stalls)
