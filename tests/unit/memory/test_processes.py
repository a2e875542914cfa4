"""The process table."""

import os

from only1mcp.memory.layout import ROLES, Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow, ProcessStatus, State, read_processes, row_index
from tests.support.forking import fork, join


def test_each_process_has_a_row_of_its_own() -> None:
    """The fixed roles first, then the workers."""
    rows = [row_index(role) for role in ROLES] + [row_index("worker", n) for n in range(3)]
    assert rows == list(range(len(ROLES) + 3))


def test_what_a_process_writes_all_others_read() -> None:
    """Pid, state, heartbeat and the number of its starts."""
    memory = SharedMemory(Layout(workers=2, servers=0, metric_slots=1))
    row = ProcessRow(memory.process_row(row_index("worker", 1)))
    row.begin(os.getpid(), 10)
    assert row.state is State.STARTING

    def serve() -> None:
        row.state = State.READY
        row.beat(25)

    assert join(fork(serve)) == [0]
    assert read_processes(memory) == [ProcessStatus("worker", 1, os.getpid(), State.READY, 1, 25)]
    assert row.beat_ns == 25


def test_a_process_that_is_gone_has_no_row_but_its_starts_are_remembered() -> None:
    """A replacement goes on counting."""
    memory = SharedMemory(Layout(workers=0, servers=0, metric_slots=1))
    row = ProcessRow(memory.process_row(row_index("host")))
    for pid in (100, 200):
        row.begin(pid, 1)
        row.clear()
        assert row.state is State.ABSENT
    assert read_processes(memory) == []
    row.begin(300, 1)
    assert [(status.role, status.pid, status.starts) for status in read_processes(memory)] == [
        ("host", 300, 3)
    ]
