"""What processes share about the instances of servers."""

import os
import signal

import pytest

from only1mcp.memory import instances
from only1mcp.memory.instances import InstanceTable, forget_worker, loose
from only1mcp.memory.layout import Layout, SharedMemory
from tests.support.forking import fork, join
from tests.support.lock_file import LOCK_FILE

LAYOUT = Layout(3, 1, 1)


def test_an_instance_has_one_row_in_all_processes() -> None:
    """Found by its name; what one worker has under way, the others see."""
    memory, lock = SharedMemory(LAYOUT), LOCK_FILE
    one, other = (InstanceTable(memory, lock, column) for column in (0, 2))
    one.known("s", "http://a/").gauge.enter()
    other.known("s", "http://b/").gauge.enter()
    other.known("s", "http://a/").gauge.enter()
    assert one.known("s", "http://a/").gauge.load() == 2
    assert one.known("s", "http://b/").gauge.load() == 1
    assert one.known("t", "http://a/").gauge.load() == 0
    assert one.known("s", "http://a/") is one.known("s", "http://a/")


def test_what_a_dead_worker_had_under_way_is_taken_back() -> None:
    """It alone; the others' calls go on."""
    memory, lock = SharedMemory(LAYOUT), LOCK_FILE
    survivor = InstanceTable(memory, lock, 1).known("s", "x").gauge
    survivor.enter()

    def die() -> None:
        gauge = InstanceTable(memory, lock, 0).known("s", "x").gauge
        gauge.enter()
        gauge.enter()
        os.kill(os.getpid(), signal.SIGKILL)

    assert join(fork(die)) == [-signal.SIGKILL]
    assert survivor.load() == 3
    forget_worker(memory, 0)
    assert survivor.load() == 1


def test_a_word_is_changed_by_one_process_at_a_time() -> None:
    """Each change is counted, however many try at once."""
    memory, lock = SharedMemory(LAYOUT), LOCK_FILE
    table = InstanceTable(memory, lock)

    def change() -> None:
        known = InstanceTable(memory, lock).known("s", "x")
        for _ in range(500):
            while not known.words.swap(known.at, (word := known.breaker), word + 1):
                pass

    assert join(*[fork(change) for _ in range(4)]) == [0] * 4
    assert table.known("s", "x").breaker == 2000


def test_a_full_table_leaves_an_instance_to_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shared then, but calls go on."""
    monkeypatch.setattr(instances, "INSTANCE_SLOTS", 2)
    memory, lock = SharedMemory(LAYOUT), LOCK_FILE
    one, other = InstanceTable(memory, lock, 0), InstanceTable(memory, lock, 1)
    for name in ("a", "b", "c"):
        one.known("s", name).gauge.enter()
    assert [other.known("s", name).gauge.load() for name in ("a", "b", "c")] == [1, 1, 0]


def test_a_process_s_own_words_are_swapped_too() -> None:
    """As those that are shared."""
    known = loose()
    assert not known.words.swap(known.at, 1, 2)
    assert known.words.swap(known.at, 0, 2)
    assert known.breaker == 2
