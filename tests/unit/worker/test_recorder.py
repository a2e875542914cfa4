"""How requests ended, in metrics, log and for the health board."""

import logging
from pathlib import Path
from typing import Any

import pytest

from only1mcp.health.manager import HealthReporter
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow
from only1mcp.observability.metrics import MetricsPlan, MetricsReader, MetricsWriter
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.proxy.journey import Outcome
from only1mcp.worker import recorder
from only1mcp.worker.recorder import Recorder


class Told(HealthReporter):
    """A reporter that remembers what it is told; it is never started."""

    def __init__(self) -> None:
        super().__init__("worker-0", Path("/nonexistent"), b"k")
        self.said: list[tuple[str, dict[str, Any]]] = []

    def say(self, server_id: str, observation: dict[str, Any]) -> None:
        """Remember."""
        self.said.append((server_id, observation))


class Book:
    """A recorder with everything it writes to."""

    def __init__(self) -> None:
        plan = MetricsPlan(("a", "b"))
        memory = SharedMemory(Layout(0, 2, plan.size))
        ProcessRow(memory.process_row(0)).begin(1, 1)
        self.told = Told()
        self.recorder = Recorder(MetricsWriter(plan, memory.metrics_row(0)), ("a", "b"), self.told)
        self.reader = MetricsReader(plan, memory)


def outcome(status: str = "ok", method: str = "tools/call", **more: Any) -> Outcome:
    """Describe the end of a request."""
    facts: dict[str, Any] = {
        "request_id": "w-1", "method_index": METHODS[method].index, "method": method,
        "target": "a__x", "server_id": "a", "client": "::1", "status": status, "seconds": 0.0125,
    }  # fmt: skip
    return Outcome(**{**facts, **more})


def test_every_attempt_is_counted_for_its_server() -> None:
    """And only the server's own faults are told to the board, with their number."""
    book = Book()
    for status in ("ok", "error", "cancelled", "backend_lost", "overloaded", "backend_timeout"):
        book.recorder.attempt("b", status, 0.1)
    text = book.reader.text()
    assert b'only1mcp_upstream_requests_total{server_id="b",status="cancelled"} 1.0' in text
    assert [(who, word["failures"], word["last"]) for who, word in book.told.said] == [
        ("b", 1, "backend_lost"), ("b", 2, "backend_timeout"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "method", "level"),
    [("ok", "tools/call", logging.INFO), ("error", "tools/call", logging.INFO),
     ("backend_lost", "tools/call", logging.WARNING), ("ok", "ping", logging.DEBUG),
     ("cancelled", "tools/call", logging.WARNING)],
)  # fmt: skip
def test_the_end_of_a_request_is_one_log_line(
    caplog: pytest.LogCaptureFixture, status: str, method: str, level: int
) -> None:
    """As loud as it matters, with its facts as fields."""
    book = Book()
    with caplog.at_level(logging.DEBUG, "only1mcp"):
        book.recorder.record(outcome(status, method, detail="why"))
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (level, method)
    facts = {name: getattr(record, name) for name in (
        "request_id", "server", "tool", "outcome", "client", "duration_ms", "detail")}  # fmt: skip
    assert facts == {
        "request_id": "w-1", "server": "a", "tool": "a__x", "outcome": status, "client": "::1",
        "duration_ms": 12.5, "detail": "why",
    }  # fmt: skip


def test_a_request_without_a_method_is_logged_and_counted_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was no message."""
    book = Book()
    with caplog.at_level(logging.INFO, "only1mcp"):
        book.recorder.record(outcome("parse_error", method_index=OTHER_INDEX))
        nameless = outcome("parse_error", method_index=OTHER_INDEX)
        nameless.method = ""
        book.recorder.record(nameless)
    assert b'{method="other",status="parse_error"} 2.0' in book.reader.text()
    assert caplog.records[1].getMessage() == "request"


def test_nothing_is_formatted_for_a_line_that_nobody_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the level of warnings a good request costs no line."""
    book = Book()
    with caplog.at_level(logging.WARNING, "only1mcp"):
        book.recorder.record(outcome("ok"))
    assert caplog.records == []


def test_batches_are_counted_for_their_server() -> None:
    """With the calls in them."""
    book = Book()
    book.recorder.batch("b", 12)
    text = book.reader.text()
    assert b'only1mcp_upstream_batches_total{server_id="b"} 1.0' in text
    assert b'only1mcp_upstream_batched_requests_total{server_id="b"} 12.0' in text


def test_calls_that_are_sent_again_are_counted_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those that are withheld are another number."""
    book = Book()
    book.recorder.retry("b", False)
    assert b'only1mcp_upstream_retries_total{server_id="b"} 1.0' in book.reader.text()
    assert caplog.records == []
    book.recorder.retry("b", True)
    assert b'only1mcp_upstream_retries_withheld_total{server_id="b"} 1.0' in book.reader.text()


def test_that_calls_are_not_sent_again_is_logged_once_in_a_while_for_each_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each call, of which there may be thousands in a second."""
    book = Book()
    monkeypatch.setattr(recorder, "WITHHELD_EACH_S", 3600.0)
    for server_id in "aabbab":
        book.recorder.retry(server_id, True)
    lines = [(line.levelname, vars(line)["server"]) for line in caplog.records]
    assert lines == [("WARNING", "a"), ("WARNING", "b")]
    assert "retry budget is used up" in caplog.messages[0]
    book = Book()
    monkeypatch.setattr(recorder, "WITHHELD_EACH_S", 0.0)
    for _ in range(2):
        book.recorder.retry("a", True)
    assert len(caplog.records) == 4
