"""Lets go of answers that are not good any more: they would take memory, and be counted."""

import asyncio
from typing import Any

from only1mcp.memory.cache_epochs import CacheEpochs

TICK_S = 0.5
LONG_TICKS = 60
"""After so many ticks those are looked for whose time is over; nobody has said so."""


class CacheSweeps:
    """Sweeps one worker's cache, when something has changed and now and then.

    Args:
        store: the answers.
        epochs: says whether something has changed.
        swept: one word, in which we say up to which change we have swept.
    """

    def __init__(self, store: Any, epochs: CacheEpochs, swept: "memoryview[int]") -> None:
        self._store = store
        self._epochs = epochs
        self._swept = swept
        self._swept[0] = epochs.changes
        self._ticks = 0
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticks += 1
        changes = self._epochs.changes
        if changes != self._swept[0] or self._ticks % LONG_TICKS == 0:
            self._store.sweep(loop.time())
            self._swept[0] = changes
        self._timer = loop.call_later(TICK_S, self._tick)

    def close(self) -> None:
        """Let go of everything: the worker ends."""
        self._timer.cancel()
        self._store.clear()
