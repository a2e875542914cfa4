"""Answers that are not good any more take no memory for long."""

import asyncio

from only1mcp._speedups import SHELF, Entry, Lru
from only1mcp.memory.cache_epochs import TOOL, CacheEpochs
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.worker.cache_sweeps import CacheSweeps
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import eventually, on_loop


@on_loop
async def test_what_has_changed_is_let_go_of_although_nobody_asks_for_it() -> None:
    """And the rest when the worker ends, for its successor counts from nought."""
    memory = SharedMemory(Layout(1, 1, SHELF))
    epochs = CacheEpochs(memory, LOCK_FILE)
    store = Lru(2**20, epochs.words, memory.metrics_row(0))
    later = asyncio.get_running_loop().time() + 1000
    for name in "ab":
        words = epochs.places(0, TOOL, name)
        store.put(Entry(name.encode(), b"{}", -1, later, words, store.stamp(*words), 0))
    sweeps = CacheSweeps(store, epochs, memory.swept)
    try:
        epochs.target(0, TOOL, "a")
        await eventually(lambda: len(store) == 1, "the answer to be let go of")
        assert store.get(b"b", 0.0) is not None
        await eventually(lambda: memory.swept[0] == epochs.changes, "the sweep to be told")
    finally:
        sweeps.close()
    assert len(store) == 0
