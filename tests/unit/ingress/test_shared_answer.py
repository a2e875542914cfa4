"""Many ask for the same at once."""

import asyncio

from only1mcp.ingress.shared_answer import PAUSE_S, SharedAnswer
from only1mcp.tasks import Tasks
from tests.support.loop import on_loop


class Counting:
    """Makes answers, and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def make(self) -> bytes:
        """Make one; the third cannot be made."""
        self.made += 1
        if self.made == 3:
            raise ValueError(self.made)
        return b"%d" % self.made


@on_loop
async def test_all_who_ask_in_one_turn_get_one_answer() -> None:
    """Who asks later gets a new one; what went wrong, all who asked hear."""
    counting = Counting()
    shared = SharedAnswer(counting.make)
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [b"1"] * 5
    assert await shared.get() == b"2"
    failed = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [type(one) for one in failed] == [ValueError, ValueError]
    assert await shared.get() == b"4"


@on_loop
async def test_a_crowd_that_goes_on_coming_is_answered_now_and_then() -> None:
    """Each with what was made after its question; the loop is not kept busy with it."""
    made = 0

    def make() -> bytes:
        nonlocal made
        made += 1
        return b"%d" % made

    got: list[bool] = []

    async def ask() -> None:
        before = made
        got.append(int(await shared.get()) > before)

    shared, tasks, loop = SharedAnswer(make), Tasks(), asyncio.get_running_loop()
    began, asking = loop.time(), []
    while made < 4:
        asking.append(tasks.spawn(ask()))
        await asyncio.sleep(0)
    await asyncio.gather(*asking)
    assert all(got)
    assert len(got) > made
    assert made <= (loop.time() - began) / PAUSE_S + 2


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
