"""Metrics of the event loops."""

from prometheus_client.parser import text_string_to_metric_families

from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow, row_index
from only1mcp.observability.loop_metrics import LoopMetrics
from only1mcp.observability.metrics import MetricsPlan, MetricsReader, MetricsWriter


def test_each_process_tells_its_own_waits() -> None:
    """How many there were of each length, the longest, and the longest of its own doing."""
    plan = MetricsPlan(("a",))
    memory = SharedMemory(Layout(1, 1, plan.size))
    reader = MetricsReader(plan, memory)
    reader.add(LoopMetrics(plan, memory))
    for role, waits in {"worker": (0.002, 0.02, 0.004), "host": (0.3,)}.items():
        ProcessRow(memory.process_row(row_index(role))).begin(1, 1)
        writer = MetricsWriter(plan, memory.metrics_row(row_index(role)))
        for wait in waits:
            writer.waited(wait, wait / 2)
    samples = {
        (sample.name.removeprefix("only1mcp_event_loop_"), *sorted(sample.labels.values())): sample
        for family in text_string_to_metric_families(reader.text().decode())
        for sample in family.samples
        if sample.name.startswith("only1mcp_event_loop_")
    }
    values = {key: sample.value for key, sample in samples.items()}
    assert values["wait_seconds_count", "worker-0"] == 3
    assert values["wait_seconds_bucket", "0.01", "worker-0"] == 2
    assert values["longest_wait_seconds", "worker-0"] == 0.02
    assert values["longest_stall_seconds", "worker-0"] == 0.01
    assert values["longest_wait_seconds", "host"] == 0.3
