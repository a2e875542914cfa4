"""Answers that are kept: how many calls they save, and what looking for one costs."""

import random
from array import array
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import gain, growth, in_references
from benchmarks.twins import LRUS, is_compiled
from only1mcp import _speedups
from only1mcp._speedups import ENTRIES, HITS, lru_py
from only1mcp.registry.server import CacheLimits, Kept
from tests.support.catalogues import catalogue, server
from tests.support.desk import Desk, tool_result
from tests.support.fake_backend import FakeBackend
from tests.support.loop import on_loop

CALLS, DISTINCT, ROOM = 20_000, 5_000, 1_000
"""Calls of a workload, how many of them are different, and for how many there is room."""
LEAST = 0.7
MOST = {True: 25.0, False: 160.0}
"""References that it may cost to find an answer, or to keep one and let go of another."""
WORDS = (1, 2)


def store(twin: Any, room: int) -> Any:
    """Return a store that is full."""
    words, row = memoryview(array("Q", bytes(64))), memoryview(array("Q", bytes(64)))
    subject = twin.Lru(room * 700, words, row)
    for number in range(room):
        subject.put(entry(twin, number))
    return subject


def entry(twin: Any, number: int) -> Any:
    """Return an answer of usual size."""
    return twin.Entry(b"key of a call with its parameters %d" % number, b"x" * 300, -1, 1e9,
                      WORDS, 0, 0)  # fmt: skip


@pytest.mark.gate
@on_loop
async def test_a_workload_that_repeats_itself_is_mostly_answered_from_the_cache() -> None:
    """Some things are asked for far more often than others (Zipf), and not all find room."""
    kept = {"a": Kept((("x", 3600.0),))}
    desk = Desk(catalogue("a", tools="x"), kept=kept)
    backend = desk.backends["a"] = FakeBackend(lambda _: tool_result("y" * 200))
    desk.cache.follow(CacheLimits(1, 1.0), (server("a", kept=kept["a"]),), {"a": 0})
    desk.cache.store.shrink(ROOM * 900)
    draw = random.Random(1)
    weights = [1 / rank for rank in range(1, DISTINCT + 1)]
    for number in draw.choices(range(DISTINCT), weights, k=CALLS):
        told = desk.modern("tools/call", {"name": "a__x", "arguments": {"q": number}})
        assert told.only.status == 200
    ratio = 1 - len(backend.calls) / CALLS
    print(f"{ratio:.1%} of the calls took none to the server")
    assert desk.shelves[HITS] == CALLS - len(backend.calls)
    assert 0 < desk.shelves[ENTRIES] < DISTINCT / 2
    assert ratio > LEAST


@pytest.mark.benchmark(group="cache, one look-up among 10 000", max_time=0.3)
@pytest.mark.parametrize("twin", LRUS)
def test_to_find_an_answer_costs_little(benchmark: BenchmarkFixture, twin: Any) -> None:
    """However many there are, and it is the last used from then on."""
    subject = store(twin, 10_000)
    keys = [b"key of a call with its parameters %d" % number for number in (5_000, 7_000)]

    def find() -> None:
        for key in keys:
            assert subject.get(key, 1.0) is not None

    benchmark(find)
    few = store(twin, 10)
    near = [b"key of a call with its parameters %d" % number for number in (5, 7)]
    assert in_references(find) < MOST[is_compiled(twin)]
    assert growth(lambda: [few.get(key, 1.0) for key in near], find) < 4.0


@pytest.mark.benchmark(group="cache, one answer in, one out", max_time=0.3)
@pytest.mark.parametrize("twin", LRUS)
def test_to_keep_an_answer_costs_little(benchmark: BenchmarkFixture, twin: Any) -> None:
    """Another one leaves for it."""
    subject = store(twin, 10_000)
    numbers = iter(range(20_000, 10**9))

    def keep() -> None:
        subject.put(entry(twin, next(numbers)))

    benchmark(keep)
    assert in_references(keep) < MOST[is_compiled(twin)]


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="there is one twin only")
def test_the_compiled_store_is_worth_having() -> None:
    """It is several times as quick."""
    pure, compiled = store(lru_py, 1000), store(_speedups, 1000)
    keys = [b"key of a call with its parameters %d" % number for number in (5, 7)]

    def find(subject: Any) -> None:
        for key in keys:
            subject.get(key, 1.0)

    assert gain(lambda: find(compiled), lambda: find(pure)) > 1.5
