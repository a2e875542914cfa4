"""Background tasks are held, reported on, and ended."""

import asyncio
import logging

import pytest

from only1mcp.tasks import Tasks
from tests.support.loop import eventually, on_loop


@on_loop
async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback; a cancellation is no failure."""

    async def fail() -> None:
        raise RuntimeError("oops")

    tasks = Tasks()
    with caplog.at_level(logging.ERROR, "only1mcp"):
        failing, sleeping = tasks.spawn(fail()), tasks.spawn(asyncio.sleep(60))
        sleeping.cancel()
        await eventually(lambda: failing.done() and sleeping.done(), "both to end")
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["a background task failed"]
    assert "RuntimeError: oops" in caplog.text


@on_loop
async def test_all_that_runs_can_be_ended_and_waited_for() -> None:
    """Each gets to clean up; what begins later is not touched."""
    tasks, cleaned = Tasks(), []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    for number in range(5):
        tasks.spawn(work(number))
    await asyncio.sleep(0)
    await tasks.cancel_all()
    assert sorted(cleaned) == list(range(5))
    await tasks.cancel_all()
    later = tasks.spawn(asyncio.sleep(0))
    await later
    assert not later.cancelled()


@on_loop
async def test_a_task_is_held_until_it_ends() -> None:
    """The loop alone would let it be collected."""
    import gc  # noqa: PLC0415 - of this test alone

    tasks, done = Tasks(), asyncio.Event()

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, gc.collect)
        done.set()

    tasks.spawn(work())
    gc.collect()
    await eventually(done.is_set, "the task to end")
