"""What is measured of the event loop."""

import asyncio
import time

from only1mcp.process.loop_watch import BREATH_S, EVERY_S, IDLE_S, LoopWatch
from tests.support.loop import eventually, on_loop

BUSY_S = 0.2
"""Of CPU time, so that it is the same on a machine that is busy itself."""


def work(seconds: float = BUSY_S) -> None:
    """Use the CPU."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Watched:
    """A watch and what it has said."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, float]] = []
        self._looks = asyncio.Queue[tuple[float, float]]()
        self._looked = time.monotonic()
        self.watch = LoopWatch(self._note)
        self.watch.start()

    def _note(self, wait_s: float, ours_s: float) -> None:
        now = time.monotonic()
        self.waits.append((wait_s, ours_s))
        self._looks.put_nowait((now - self._looked, wait_s))
        self._looked = now

    async def most_pause(self) -> float:
        """Return what the pause before the next look was at most."""
        since_s, wait_s = await self._looks.get()
        return since_s - wait_s

    async def least_pause(self) -> float:
        """Return what it was at least: both the timer and the turn may have been that late."""
        since_s, wait_s = await self._looks.get()
        return since_s - 2 * wait_s

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


@on_loop
async def test_who_follows_the_turns_lets_a_loop_without_work_sleep() -> None:
    """Otherwise each turn would be there for the look at the one before it."""
    watched = Watched()
    turns: list[float] = []

    def on_turn(now: float, _length_s: float) -> bool:
        turns.append(now)
        return True

    watched.watch.on_turn = on_turn
    await eventually(lambda: turns, "the first turn")
    used, began, seen = time.thread_time(), time.monotonic(), len(turns)
    await asyncio.sleep(0.3)
    looks = len(turns) - seen
    assert looks > 1
    assert looks <= (time.monotonic() - began) / BREATH_S * 2 + 1
    assert time.thread_time() - used < 0.15  # spinning would use all of it


class Delays:
    """The kernel has kept this thread waiting for a second, as far as it counts."""

    def read(self) -> float:
        """Return the seconds so far."""
        return 1.0


@on_loop
async def test_what_the_kernel_took_from_one_turn_is_not_taken_off_the_next() -> None:
    """Also when the loop is left asleep between the two: work of ours would not be seen."""
    waits: list[float] = []
    watch = LoopWatch(lambda _wait_s, ours_s: waits.append(ours_s))
    loop = asyncio.get_running_loop()

    def on_turn(_now: float, _length_s: float) -> bool:
        if len(waits) == 1:
            loop.call_soon(work)
        return True

    watch._delay = Delays()  # type: ignore[assignment]
    watch.on_turn = on_turn
    watch._begin_turn(time.monotonic(), 0.0)
    await eventually(lambda: len(waits) > 1, "the end of the turn after that")
    assert waits[0] == 0.0
    assert waits[1] > BUSY_S / 2


@on_loop
async def test_a_loop_with_little_to_do_is_woken_less_often() -> None:
    """And more often again when it has work: there its looks cost next to nothing."""
    watched = Watched()
    middle_s = (EVERY_S + IDLE_S) / 2
    while await watched.least_pause() < middle_s:  # nobody polls here: that would be work
        pass
    loop = asyncio.get_running_loop()
    is_calm = True

    def again() -> None:
        work(EVERY_S / 5)
        if is_calm:
            loop.call_later(EVERY_S / 5, again)

    again()
    while await watched.most_pause() > middle_s:
        pass
    is_calm = False
