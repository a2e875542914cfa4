"""Keeps hold of background tasks, and reports the exceptions that nobody waits for."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class Tasks:
    """The background tasks of one process."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a background task failed", exc_info=task.exception())

    async def cancel_all(self) -> None:
        """Cancel what still runs and wait for it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def until(is_so: Callable[[], bool], timeout_s: float, look_s: float) -> bool:
    """Wait for what nobody announces, as another process's word in shared memory; say if it came.

    Only for what is rare: it looks again and again.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not (found := is_so()) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(look_s)
    return found
