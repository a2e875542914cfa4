"""Many ask for the same at once."""

import asyncio
import time

import pytest

from only1mcp.ingress.shared_answer import CROWD, LONGEST_S, PAUSE_S, SharedAnswer
from only1mcp.tasks import Tasks
from tests.support.loop import on_loop


class Counting:
    """Makes answers, and counts them."""

    def __init__(self, made: int = 0) -> None:
        self.made = made

    def make(self) -> bytes:
        """Make one; the third cannot be made."""
        self.made += 1
        if self.made == 3:
            raise ValueError(self.made)
        return b"%d" % self.made


@on_loop
async def test_all_who_ask_in_one_turn_get_one_answer() -> None:
    """Who asks later, and alone, gets a new one; what went wrong is for one answer alone."""
    counting = Counting()
    shared = SharedAnswer(counting.make)
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [b"1"] * 5
    assert await shared.get() == b"2"
    with pytest.raises(ValueError, match="3"):
        await shared.get()
    failing = SharedAnswer(Counting(made=2).make)
    failed = await asyncio.gather(failing.get(), failing.get(), return_exceptions=True)
    assert [type(one) for one in failed] == [ValueError, ValueError]
    assert await shared.get() == b"4"


@on_loop
async def test_a_crowd_that_goes_on_coming_gets_what_was_made_lately() -> None:
    """Most of them at once; the loop is not kept busy with it."""
    made: list[float] = []

    def make() -> bytes:
        made.append(time.monotonic())
        return b"%d" % len(made)

    got: list[tuple[float, int]] = []

    async def ask() -> None:
        asked = time.monotonic()
        got.append((asked, int(await shared.get())))

    shared, tasks, asking = SharedAnswer(make), Tasks(), []
    began, at_once = time.monotonic(), 0
    while len(made) < 4:
        at_once += shared.at_once() is not None
        asking.append(tasks.spawn(ask()))
        await asyncio.sleep(0.0005)
    await asyncio.gather(*asking)
    assert all(asked <= made[number] for asked, number in got if number < len(made))
    assert at_once > len(asking) / 2
    assert len(made) <= (time.monotonic() - began) / PAUSE_S + 2


@pytest.mark.parametrize(("costs_s", "pause_s"), [(0.002, 0.2), (0.02, LONGEST_S)])
@on_loop
async def test_what_is_dear_to_make_is_made_rarely_in_a_crowd(
    costs_s: float, pause_s: float
) -> None:
    """Nobody waits for ever; those who come alone afterwards wait no longer than before."""
    made: list[float] = []

    def make() -> bytes:
        made.append(time.monotonic())
        end = time.thread_time() + costs_s
        while time.thread_time() < end:
            pass
        return b""

    shared = SharedAnswer(make)
    await asyncio.gather(*(shared.get() for _ in range(CROWD)))
    assert pause_s <= shared._pause_s <= LONGEST_S
    await shared.get()
    assert made[1] - made[0] > 0.9 * pause_s  # timers count in milliseconds
    assert shared._pause_s == PAUSE_S


@on_loop
async def test_who_asks_alone_learns_what_has_happened_before() -> None:
    """However soon after the last question: there is no answer at once."""
    shared = SharedAnswer(Counting().make)
    assert shared.at_once() is None
    assert await shared.get() == b"1"
    assert shared.at_once() is None
    assert await shared.get() == b"2"


@on_loop
async def test_who_leaves_takes_the_answer_from_nobody() -> None:
    """It is made for the others."""
    shared = SharedAnswer(Counting().make)
    got: list[bytes] = []

    async def ask() -> None:
        got.append(await shared.get())

    tasks = Tasks()
    leaves, stays = tasks.spawn(ask()), tasks.spawn(ask())
    await asyncio.sleep(0)
    leaves.cancel()
    await stays
    assert (got, leaves.cancelled()) == ([b"1"], True)
