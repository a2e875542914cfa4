"""Counters and histograms in shared memory: every process writes its own row, any of them sums all.

A row has one writer, so an increment is a plain addition without a lock. A process that is replaced
goes on in its predecessor's row; counters never fall.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from only1mcp import __version__
from only1mcp._speedups import ACCEL, SHELF
from only1mcp.errors import CircuitOpen, Only1MCPError, Overloaded
from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.layout import CELLS, SharedMemory
from only1mcp.memory.processes import ProcessRow, State, read_processes
from only1mcp.observability.cache_metrics import cache_families
from only1mcp.observability.exposition import Family, text_of
from only1mcp.protocol.methods import METHOD_LABELS

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
HISTOGRAM = len(BUCKETS_S) + 2
"""A count for each bucket, one for +Inf, and the sum in microseconds."""


def _reasons(kind: type[Only1MCPError]) -> Iterator[str]:
    yield kind.reason
    for child in kind.__subclasses__():
        yield from _reasons(child)


STATUSES = ("ok", "error", *sorted({"cancelled", *_reasons(Only1MCPError)}))
"""Values of the `status` label: a result, the backend's own error, and our failures by reason."""
_STATUS_INDEX = {status: index for index, status in enumerate(STATUSES)}
_OVERLOADED = _STATUS_INDEX[Overloaded.reason]
_CIRCUIT_OPEN = _STATUS_INDEX[CircuitOpen.reason]
_NEVER_LEFT = frozenset({CircuitOpen.reason, Overloaded.reason})
"""Of calls that end like that there is no latency to speak of: no server was asked."""
_SERVER_SLOTS = len(STATUSES) + HISTOGRAM + SHELF + 6
_CLIENT_SLOTS = 2
_LOOP_SLOTS = HISTOGRAM + 2


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Which slot of a row counts what."""

    server_ids: tuple[str, ...]
    """By their slots."""
    removed: frozenset[str] = frozenset()
    """Those that are not configured any more; should they come back, they go on counting."""
    client_ids: tuple[str, ...] = ()
    """Who is counted apart, by place: as many as configuration names, whoever calls."""

    @property
    def durations(self) -> int:
        """First slot of the request durations, by method."""
        return len(METHOD_LABELS) * len(STATUSES)

    @property
    def clients(self) -> int:
        """First slot of the clients: requests, and those beyond their rate."""
        return self.durations + len(METHOD_LABELS) * HISTOGRAM

    @property
    def servers(self) -> int:
        """First slot of the servers.

        Each has outcomes, latency, what the cache counts, calls sent again, those withheld,
        batches, their members, tools, restarts.
        """
        return self.loop + _LOOP_SLOTS

    @property
    def loop(self) -> int:
        """First slot of the process's event loop: waits, the longest, the longest of our doing."""
        return self.clients + CELLS * _CLIENT_SLOTS

    @property
    def size(self) -> int:
        """Slots in a row."""
        return self.servers + len(self.server_ids) * _SERVER_SLOTS

    def client(self, number: int) -> int:
        """First slot of one client."""
        return self.clients + number * _CLIENT_SLOTS

    def fast_slots(self, method_index: int, server_index: int) -> tuple[int, int, int, int]:
        """Return where a call that went well is counted: both outcomes, each with its histogram."""
        server = self.server(server_index)
        durations = self.durations + method_index * HISTOGRAM
        return method_index * len(STATUSES), durations, server, server + len(STATUSES)

    def shut_slots(self, method_index: int, server_index: int) -> tuple[int, int, int]:
        """Return where calls are counted that a breaker refuses: request, its time, server."""
        request, durations, server, _ = self.fast_slots(method_index, server_index)
        return request + _CIRCUIT_OPEN, durations, server + _CIRCUIT_OPEN

    def server(self, index: int) -> int:
        """First slot of one server."""
        return self.servers + index * _SERVER_SLOTS

    def shelf(self, index: int) -> int:
        """First slot of what the cache counts of one server (`only1mcp._speedups.lru_py`)."""
        return self.server(index) + len(STATUSES) + HISTOGRAM


def _observe(row: "memoryview[int]", at: int, seconds: float) -> None:
    for bucket in BUCKETS_S:
        if seconds <= bucket:
            break
        at += 1
    row[at] += 1


class MetricsWriter:
    """One process's own row."""

    def __init__(self, plan: MetricsPlan, row: "memoryview[int]") -> None:
        self._plan = plan
        self._row = row

    @property
    def row(self) -> "memoryview[int]":
        """The slots themselves, for the compiled part of the fast lane."""
        return self._row

    def request(self, method_index: int, status: str, seconds: float) -> None:
        """Count one request of a client."""
        row = self._row
        row[method_index * len(STATUSES) + _STATUS_INDEX[status]] += 1
        at = self._plan.durations + method_index * HISTOGRAM
        _observe(row, at, seconds)
        row[at + HISTOGRAM - 1] += int(seconds * 1e6)

    def refused(self, method_index: int, client: int) -> None:
        """Count one request that was refused for lack of room, as cheaply as can be."""
        self._row[self.refused_slot(method_index)] += 1
        self._row[self._plan.client(client)] += 1

    @staticmethod
    def refused_slot(method_index: int) -> int:
        """Return where requests of a method are counted that were refused for lack of room."""
        return method_index * len(STATUSES) + _OVERLOADED

    def waited(self, seconds: float, ours_s: float) -> None:
        """Note how long the event loop kept somebody waiting, and how much of it was our doing."""
        row, at = self._row, self._plan.loop
        _observe(row, at, seconds)
        micros = int(seconds * 1e6)
        row[at + HISTOGRAM - 1] += micros
        row[at + HISTOGRAM] = max(row[at + HISTOGRAM], micros)
        row[at + HISTOGRAM + 1] = max(row[at + HISTOGRAM + 1], int(ours_s * 1e6))

    def client(self, number: int) -> None:
        """Count one request of one client."""
        self._row[self._plan.client(number)] += 1

    def exceeded(self, number: int) -> None:
        """Count one request that was beyond its client's rate."""
        self._row[self._plan.client(number) + 1] += 1

    def upstream(self, server_index: int, status: str, seconds: float) -> None:
        """Count one call to a server."""
        row = self._row
        at = self._plan.server(server_index)
        row[at + _STATUS_INDEX[status]] += 1
        if status in _NEVER_LEFT:
            return
        at += len(STATUSES)
        _observe(row, at, seconds)
        row[at + HISTOGRAM - 1] += int(seconds * 1e6)

    def retry(self, server_index: int, *, withheld: bool) -> None:
        """Count a call that was sent again, or one that was not, for there were too many."""
        at = self._plan.server(server_index) + _SERVER_SLOTS
        self._row[at - 5 if withheld else at - 6] += 1

    def batch(self, server_index: int, members: int) -> None:
        """Count one batch to a server, and the calls in it."""
        at = self._plan.server(server_index) + _SERVER_SLOTS
        self._row[at - 4] += 1
        self._row[at - 3] += members

    def tools(self, server_index: int, count: int) -> None:
        """Note how many tools a server offers; the host is the only caller."""
        self._row[self._plan.server(server_index) + _SERVER_SLOTS - 2] = count

    def restart(self, server_index: int) -> None:
        """Count a restart of a server's process; the host is the only caller."""
        self._row[self._plan.server(server_index) + _SERVER_SLOTS - 1] += 1


class Collector(Protocol):
    """Knows of further metrics."""

    def collect(self) -> Iterator[Family]:
        """Yield every metric family."""


class MetricsReader:
    """Sums the rows of all processes and writes them in Prometheus' text format."""

    def __init__(self, plan: MetricsPlan, memory: SharedMemory) -> None:
        self._plan = plan
        self._memory = memory
        self._health = HealthWords(memory)
        self._others: list[Collector] = []

    def follow(self, plan: MetricsPlan) -> None:
        """Speak of other servers from now on."""
        self._plan = plan

    def add(self, collector: Collector) -> None:
        """Have another collector tell its metrics with ours."""
        self._others.append(collector)

    def text(self) -> bytes:
        """Return the whole exposition."""
        return text_of(self.collect())

    def totals(self) -> list[int]:
        """Return each slot summed over all processes; 0 where no client is, and for the loops."""
        rows = [
            self._memory.metrics_row(number)
            for number in range(self._memory.layout.processes)
            if ProcessRow(self._memory.process_row(number)).starts
        ]
        plan = self._plan
        unused = plan.client(len(plan.client_ids))  # from there on: most of the row
        gap = [0] * (plan.servers - unused)
        return _summed(rows, 0, unused) + gap + _summed(rows, plan.servers, plan.size)

    def collect(self) -> Iterator[Family]:
        """Yield every metric family."""
        totals = self.totals()
        yield from self._requests(totals)
        yield from self._upstreams(totals)
        yield from self._retries(totals)
        yield from self._clients(totals)
        yield from cache_families(self.shelves(totals))
        yield from self._reloads()
        yield from self._processes()
        for other in self._others:
            yield from other.collect()

    def shelves(self, totals: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
        """Yield each server with what the caches count of it."""
        for index, server_id in enumerate(self._plan.server_ids):
            at = self._plan.shelf(index)
            if server_id not in self._plan.removed:
                yield server_id, totals[at : at + SHELF]

    def _requests(self, totals: Sequence[int]) -> Iterator[Family]:
        requests = Family(
            "counter", "only1mcp_requests", "Requests of clients.", ("method", "status")
        )
        durations = Family(
            "histogram", "only1mcp_request_duration_seconds", "From the request to its answer.",
            ("method",),
        )  # fmt: skip
        for number, method in enumerate(METHOD_LABELS):
            first = number * len(STATUSES)
            for offset, status in enumerate(STATUSES):
                if totals[first + offset]:
                    requests.add([method, status], totals[first + offset])
            add_histogram(durations, [method], totals, self._plan.durations + number * HISTOGRAM)
        yield requests
        yield durations

    def _upstreams(self, totals: Sequence[int]) -> Iterator[Family]:
        calls = Family(
            "counter", "only1mcp_upstream_requests", "Calls to servers.", ("server_id", "status")
        )
        latency = Family(
            "histogram", "only1mcp_backend_latency_seconds", "From a call to the server's answer.",
            ("server_id",),
        )  # fmt: skip
        health = Family(
            "gauge", "only1mcp_backend_health_status", "1 when the server is up.", ("server_id",)
        )
        tools = Family("gauge", "only1mcp_tools", "Tools offered.", ("server_id",))
        restarts = Family(
            "counter", "only1mcp_stdio_restarts", "Restarts of a server's process.", ("server_id",)
        )
        batches = Family(
            "counter", "only1mcp_upstream_batches", "Batches sent to servers.", ("server_id",)
        )
        batched = Family(
            "counter", "only1mcp_upstream_batched_requests", "Calls in them.", ("server_id",)
        )
        for index, server_id in enumerate(self._plan.server_ids):
            if server_id in self._plan.removed:
                continue
            at = self._plan.server(index)
            if totals[at + _SERVER_SLOTS - 4]:
                batches.add([server_id], totals[at + _SERVER_SLOTS - 4])
                batched.add([server_id], totals[at + _SERVER_SLOTS - 3])
            for offset, status in enumerate(STATUSES):
                if totals[at + offset]:
                    calls.add([server_id, status], totals[at + offset])
            add_histogram(latency, [server_id], totals, at + len(STATUSES))
            health.add([server_id], int(self._health.read(index) is Health.UP))
            tools.add([server_id], totals[at + _SERVER_SLOTS - 2])
            restarts.add([server_id], totals[at + _SERVER_SLOTS - 1])
        yield from (calls, latency, batches, batched, health, tools, restarts)

    def _retries(self, totals: Sequence[int]) -> Iterator[Family]:
        again = Family(
            "counter", "only1mcp_upstream_retries", "Calls that were sent again.", ("server_id",)
        )
        withheld = Family(
            "counter", "only1mcp_upstream_retries_withheld",
            "Calls that were not sent again, for the retry budget was used up.", ("server_id",),
        )  # fmt: skip
        for index, server_id in enumerate(self._plan.server_ids):
            if server_id not in self._plan.removed:
                at = self._plan.server(index) + _SERVER_SLOTS
                again.add([server_id], totals[at - 6])
                withheld.add([server_id], totals[at - 5])
        yield from (again, withheld)

    def _reloads(self) -> Iterator[Family]:
        reloads = Family(
            "counter", "only1mcp_config_reloads", "Reloads of the configuration.", ("outcome",)
        )
        ended, failed = self._memory.reloads
        reloads.add(["ok"], ended - failed)
        reloads.add(["failed"], failed)
        yield reloads

    def _clients(self, totals: Sequence[int]) -> Iterator[Family]:
        requests = Family(
            "counter", "only1mcp_client_requests", "Requests of one client.", ("client_id",)
        )
        exceeded = Family(
            "counter", "only1mcp_rate_limit_exceeded", "Requests beyond their client's rate.",
            ("client_id",),
        )  # fmt: skip
        for number, client_id in enumerate(self._plan.client_ids):
            if not client_id:
                continue
            at = self._plan.client(number)
            requests.add([client_id], totals[at])
            exceeded.add([client_id], totals[at + 1])
        yield from (requests, exceeded)

    def _processes(self) -> Iterator[Family]:
        build = Family("info", "only1mcp_build", "What runs here.")
        python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        build.add_info({"version": __version__, "python": python, "accel": ACCEL})
        up = Family("gauge", "only1mcp_worker_up", "1 when the worker serves.", ("worker",))
        starts = Family(
            "counter", "only1mcp_process_starts", "Starts of a process.", ("role", "index")
        )
        for row in read_processes(self._memory):
            starts.add([row.role, str(row.index)], row.starts)
            if row.role == "worker":
                up.add([str(row.index)], int(row.state is State.READY))
        yield from (build, up, starts)


def _summed(rows: "list[memoryview[int]]", start: int, end: int) -> list[int]:
    parts = [row[start:end].tolist() for row in rows]
    return list(map(sum, zip([0] * (end - start), *parts, strict=True)))


def add_histogram(family: Family, labels: list[str], totals: Sequence[int], at: int) -> None:
    """Add what was counted from this slot on; nothing where nothing was."""
    counts = totals[at : at + HISTOGRAM - 1]
    if not any(counts):
        return
    running, buckets = 0, []
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
        running += count
        buckets.append((bound, running))
    family.add_histogram(labels, buckets, totals[at + HISTOGRAM - 1] / 1e6)
