"""Counters of all processes, summed and written as Prometheus reads them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from only1mcp import __version__, errors
from only1mcp._speedups import ACCEL
from only1mcp.errors import Only1MCPError
from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow, State, row_index
from only1mcp.observability.metrics import (
    BUCKETS_S,
    STATUSES,
    MetricsPlan,
    MetricsReader,
    MetricsWriter,
)
from only1mcp.protocol.methods import METHOD_LABELS, METHODS, OTHER_INDEX
from tests.support.forking import fork, join

CALL = METHODS["tools/call"].index
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Book:
    """The metrics of a gateway with two workers and two servers."""

    def __init__(self, workers: int = 2) -> None:
        plan = MetricsPlan(("a", "b"))
        self.memory = SharedMemory(Layout(workers, 2, plan.size))
        self.writers = [
            MetricsWriter(plan, self.memory.metrics_row(row_index("worker", number)))
            for number in range(workers)
        ]
        self.host = MetricsWriter(plan, self.memory.metrics_row(row_index("host")))
        self.reader = MetricsReader(plan, self.memory)
        for row in (row_index("host"), *(row_index("worker", n) for n in range(workers))):
            process = ProcessRow(self.memory.process_row(row))
            process.begin(0, 0)
            process.clear()

    def samples(self) -> Samples:
        """Parse the exposition."""
        families = text_string_to_metric_families(self.reader.text().decode())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample's value."""
        return self.samples().get((name, frozenset(labels.items())))


def test_a_fresh_gateway_s_exposition_parses_and_says_what_runs() -> None:
    """Every family has a type and a help text."""
    book = Book()
    families = list(text_string_to_metric_families(book.reader.text().decode()))
    assert all(family.documentation and family.type != "unknown" for family in families)
    assert all(family.name.startswith("only1mcp_") for family in families)
    (build,) = [labels for name, labels in book.samples() if name == "only1mcp_build_info"]
    assert {("version", __version__), ("accel", ACCEL)} <= build
    assert book.value("only1mcp_tools", server_id="a") == 0


def test_requests_are_counted_by_method_and_status_over_all_workers() -> None:
    """Whoever answered them."""
    book = Book()
    book.writers[0].request(CALL, "ok", 0.002)
    book.writers[1].request(CALL, "ok", 0.002)
    book.writers[1].request(CALL, "backend_timeout", 30.0)
    book.writers[0].request(OTHER_INDEX, "parse_error", 0.0)
    name = "only1mcp_requests_total"
    assert book.value(name, method="tools/call", status="ok") == 2
    assert book.value(name, method="tools/call", status="backend_timeout") == 1
    assert book.value(name, method="other", status="parse_error") == 1
    assert book.value(name, method="ping", status="ok") is None


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_a_slot_of_its_own(status: str) -> None:
    """For requests and for calls to servers."""
    book = Book()
    for number, method in enumerate(METHOD_LABELS):
        book.writers[0].request(number, status, 0.1)
        assert book.value("only1mcp_requests_total", method=method, status=status) == 1
    book.writers[0].upstream(1, status, 0.1)
    assert book.value("only1mcp_upstream_requests_total", server_id="b", status=status) == 1
    assert book.value("only1mcp_upstream_requests_total", server_id="a", status=status) is None


def test_every_failure_of_a_request_can_be_counted() -> None:
    """By its reason."""
    reasons = {kind.reason for kind in vars(errors).values()
               if isinstance(kind, type) and issubclass(kind, Only1MCPError)}  # fmt: skip
    assert reasons <= set(STATUSES)
    assert {"ok", "error", "cancelled"} <= set(STATUSES)


SECONDS = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=30)


@given(SECONDS)
def test_a_histogram_counts_each_duration_once_in_the_right_bucket(seconds: list[float]) -> None:
    """Cumulative, with a bucket for all, and a sum that is right to the microsecond."""
    book = Book()
    for number, value in enumerate(seconds):
        book.writers[number % 2].request(CALL, "ok", value)
    samples = book.samples()
    buckets = dict(read_buckets(samples, "only1mcp_request_duration_seconds", "tools/call"))
    for bound in BUCKETS_S:
        assert buckets[str(bound)] == sum(value <= bound for value in seconds)
    assert buckets["+Inf"] == len(seconds)
    total = book.value("only1mcp_request_duration_seconds_sum", method="tools/call")
    assert total == pytest.approx(sum(seconds), abs=1e-6 * (len(seconds) + 1))
    assert book.value("only1mcp_request_duration_seconds_count", method="tools/call") == len(
        seconds
    )


def read_buckets(samples: Samples, name: str, method: str) -> Iterator[tuple[str, float]]:
    """Yield a histogram's bounds and counts."""
    for (sample, labels), value in samples.items():
        found = dict(labels)
        if sample == f"{name}_bucket" and found["method"] == method:
            yield found["le"], value


def test_the_latency_of_each_server_is_measured() -> None:
    """Apart from the other's."""
    book = Book()
    book.writers[0].upstream(0, "ok", 0.02)
    book.writers[1].upstream(0, "backend_lost", 0.02)
    name = "only1mcp_backend_latency_seconds"
    assert book.value(f"{name}_count", server_id="a") == 2
    assert book.value(f"{name}_bucket", server_id="a", le="0.025") == 2
    assert book.value(f"{name}_bucket", server_id="a", le="0.01") == 0
    assert book.value(f"{name}_count", server_id="b") is None


@pytest.mark.parametrize("status", ["circuit_open", "overloaded"])
def test_calls_that_never_left_have_no_latency(status: str) -> None:
    """They are counted, but no server was asked."""
    book = Book()
    book.writers[0].upstream(0, status, 0.0)
    book.writers[0].upstream(0, "ok", 0.02)
    assert book.value("only1mcp_upstream_requests_total", server_id="a", status=status) == 1
    assert book.value("only1mcp_backend_latency_seconds_count", server_id="a") == 1


def test_calls_that_were_sent_again_or_withheld_are_counted_for_their_server() -> None:
    """Over all workers; zero from the start, so that their rates can be told."""
    book = Book()
    book.writers[0].retry(1, withheld=False)
    book.writers[1].retry(1, withheld=False)
    book.writers[1].retry(1, withheld=True)
    name = "only1mcp_upstream_retries"
    found = [book.value(f"{name}_total", server_id=server) for server in "ab"]
    withheld = [book.value(f"{name}_withheld_total", server_id=server) for server in "ab"]
    assert (found, withheld) == ([0, 2], [0, 1])


def test_what_the_host_knows_of_servers_is_shown() -> None:
    """Tools, restarts and the health board's verdict."""
    book = Book()
    book.host.tools(0, 12)
    book.host.tools(0, 7)
    for _ in range(3):
        book.host.restart(1)
    HealthWords(book.memory).write(0, Health.UP)
    HealthWords(book.memory).write(1, Health.PARKED)
    assert book.value("only1mcp_tools", server_id="a") == 7
    assert book.value("only1mcp_stdio_restarts_total", server_id="b") == 3
    assert book.value("only1mcp_backend_health_status", server_id="a") == 1
    assert book.value("only1mcp_backend_health_status", server_id="b") == 0


def test_batches_and_the_calls_in_them_are_counted() -> None:
    """Of servers that were sent some."""
    book = Book()
    book.writers[0].batch(0, 7)
    book.writers[1].batch(0, 3)
    assert book.value("only1mcp_upstream_batches_total", server_id="a") == 2
    assert book.value("only1mcp_upstream_batched_requests_total", server_id="a") == 10
    assert book.value("only1mcp_upstream_batches_total", server_id="b") is None


def test_processes_and_their_starts_are_shown() -> None:
    """A worker that is not ready is not up."""
    book = Book()
    for number, state in enumerate((State.READY, State.DRAINING)):
        row = ProcessRow(book.memory.process_row(row_index("worker", number)))
        row.begin(100 + number, 1)
        row.state = state
    assert book.value("only1mcp_worker_up", worker="0") == 1
    assert book.value("only1mcp_worker_up", worker="1") == 0
    assert book.value("only1mcp_process_starts_total", role="worker", index="1") == 2


def test_counters_survive_the_process_that_counted() -> None:
    """Its successor goes on in the same row; nothing ever falls."""
    book = Book()

    def work() -> None:
        for _ in range(100):
            book.writers[0].request(CALL, "ok", 0.001)

    for times in (1, 2, 3):
        assert join(fork(work)) == [0]
        found = book.value("only1mcp_requests_total", method="tools/call", status="ok")
        assert found == 100 * times


def test_processes_that_count_at_once_lose_nothing() -> None:
    """Each has a row of its own."""
    book = Book(workers=6)

    def work(number: int) -> None:
        for _ in range(2000):
            book.writers[number].request(CALL, "ok", 0.001)
            book.writers[number].upstream(1, "ok", 0.001)

    children = [fork(lambda n=n: work(n)) for n in range(6)]  # type: ignore[misc]
    assert join(*children) == [0] * 6
    assert book.value("only1mcp_requests_total", method="tools/call", status="ok") == 12_000
    assert book.value("only1mcp_upstream_requests_total", server_id="b", status="ok") == 12_000


def test_the_slots_of_a_row_do_not_overlap() -> None:
    """As many as the plan says, each written by one thing."""
    plan = MetricsPlan(("a", "b"))
    row = memoryview(bytearray(8 * plan.size)).cast("Q")
    writer = MetricsWriter(plan, row)
    for status in STATUSES:
        for method in range(len(METHOD_LABELS)):
            writer.request(method, status, 0.0)
        for server in range(2):
            writer.upstream(server, status, 0.0)
    latencies = sum(status not in ("circuit_open", "overloaded") for status in STATUSES)
    for server in range(2):
        writer.restart(server)
        writer.batch(server, 1)
        writer.retry(server, withheld=False)
        writer.retry(server, withheld=True)
    counts = row.tolist()
    requests, calls = len(METHOD_LABELS) * len(STATUSES), 2 * len(STATUSES)
    assert sum(counts) == 2 * requests + calls + 2 * latencies + 10
    assert counts.count(1) == requests + calls + 10
