"""One bucket, many processes: as many tokens are taken as there are."""

import mmap
import os
from typing import Any

import pytest

from only1mcp._speedups import COMPILED, Cells, cells_py
from only1mcp.memory.ended_sessions import open_lock_file

PROCESSES, TRIES, BURST = 8, 2000, 60
NOW, INTERVAL = 10**9, 1000


def hammer(kind: Any, words: "memoryview[int]", lock_file: int) -> int:
    """Try as often as we can; return how often a token was taken."""
    cells = kind(words, lock_file)
    return sum(not cells.take(1, NOW, INTERVAL, BURST * INTERVAL) for _ in range(TRIES))


@pytest.mark.parametrize("kind", [Cells, cells_py.Cells], ids=["served", "pure"])
def test_eight_processes_together_take_exactly_what_there_is(kind: Any) -> None:
    """Nothing is lost and nothing is given twice."""
    words = memoryview(mmap.mmap(-1, 64)).cast("Q")
    lock_file = open_lock_file()
    go, start = os.pipe()
    told, tell = os.pipe()
    pids = []
    for _ in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            os.close(start)
            os.close(told)
            in_a_child(kind, words, lock_file, go, tell)
        pids.append(pid)
    os.close(start)
    os.close(tell)
    taken: list[int] = []
    while len(taken) < PROCESSES:
        counted = os.read(told, 4)
        assert counted, "a process died"
        taken.append(int.from_bytes(counted, "big"))
    for pid in pids:
        os.waitpid(pid, 0)
    for descriptor in (go, told, lock_file):
        os.close(descriptor)
    assert sum(taken) == BURST
    assert words.tolist() == [0, NOW + BURST * INTERVAL, *[0] * 6]


def in_a_child(kind: Any, words: "memoryview[int]", lock_file: int, go: int, tell: int) -> None:
    """Hammer as soon as all are there, tell how it went, and end."""
    try:
        os.read(go, 1)  # ends when nobody can write there any more
        os.write(tell, hammer(kind, words, lock_file).to_bytes(4, "big"))
    finally:
        os._exit(0)


@pytest.mark.skipif(not COMPILED, reason="there is one twin only")
def test_both_twins_say_the_same() -> None:
    """Step by step, with time that passes and rates that change."""
    words = [memoryview(bytearray(16)).cast("Q") for _ in range(2)]
    lock_file = open_lock_file()
    ours, theirs = Cells(words[0], lock_file), cells_py.Cells(words[1], lock_file)
    now = 0
    for step in range(3000):
        now += step * 7 % 13
        arguments = (step % 2, now, 5 + step % 3, 20 + step % 40)
        assert ours.take(*arguments) == theirs.take(*arguments)
    assert words[0] == words[1]
    os.close(lock_file)
