"""Test functions that are coroutines, run on the loop that the product runs on."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import uvloop

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE_S = 20.0
"""Enough for a loaded machine; nothing waits this long unless it is broken."""


def on_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run a coroutine test on a uvloop of its own; one that hangs fails."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(3 * PATIENCE_S):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bounded())

    return run


async def eventually(check: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Return the first true answer of `check`, letting the loop run between two questions.

    Raises:
        TimeoutError: there was none in time; the message says `what` was awaited.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        answer = check()
        if answer:
            return answer
        if loop.time() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain: {what}")
        await asyncio.sleep(0.005)
