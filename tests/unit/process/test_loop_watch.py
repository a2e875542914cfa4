"""What is measured of the event loop."""

import asyncio
import time

from only1mcp.process.loop_watch import LoopWatch
from tests.support.loop import eventually, on_loop

BUSY_S = 0.2
"""Of CPU time, so that it is the same on a machine that is busy itself."""


def work() -> None:
    """Use the CPU."""
    end = time.thread_time() + BUSY_S
    while time.thread_time() < end:
        pass


class Watched:
    """A watch and what it has said."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, float]] = []
        self.watch = LoopWatch(lambda wait_s, ours_s: self.waits.append((wait_s, ours_s)))
        self.watch.start()

    @property
    def longest(self) -> float:
        """What it has found of our own doing, at most."""
        return max((ours for _, ours in self.waits), default=0.0)


@on_loop
async def test_whatever_holds_up_the_loop_is_seen() -> None:
    """As a late timer: a turn that long is rarely the one that is looked at."""
    watched = Watched()
    loop = asyncio.get_running_loop()
    for _ in range(20):  # the kernel may give others the CPU just then, which is not ours
        await eventually(lambda: watched.waits, "the first look")
        work()
        seen = len(watched.waits)
        await eventually(lambda seen=seen: len(watched.waits) > seen, "another look")  # type: ignore[misc]
        if watched.longest > BUSY_S / 2:
            break
    assert watched.longest > BUSY_S / 2
    assert loop.is_running()


@on_loop
async def test_work_that_comes_again_in_each_turn_makes_turns_long() -> None:
    """Who listens hears of each turn for as long as wished."""
    watched = Watched()
    loop = asyncio.get_running_loop()
    turns: list[float] = []

    def again() -> None:
        work()
        if len(turns) < 3:
            loop.call_soon(again)

    def on_turn(_now: float, length_s: float) -> bool:
        turns.append(length_s)
        return len(turns) < 3

    watched.watch.on_turn = on_turn
    loop.call_soon(again)
    await eventually(lambda: len(turns) > 3, "a turn after those")
    assert len(watched.waits) >= len(turns)
    assert max(turns[:3]) > BUSY_S / 2
