"""Runs a plan: in this process, or shared between several that start at the same moment."""

import asyncio
import contextlib
import functools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import uvloop

from only1mcp.benchmark.generator import Generator
from only1mcp.benchmark.plan import CannotMeasure, Plan, find_target
from only1mcp.benchmark.report import Report

_CHILD = [sys.executable, "-P", "-m", "only1mcp.benchmark"]
_LEAD_S = 0.05
"""From the word to the first call: time for every process to hear it."""


def measure(plan: Plan, processes: int = 1) -> Report:
    """Run a plan to its end, or until SIGINT, with what there is by then.

    Raises:
        CannotMeasure: not even one call goes well.
    """
    return uvloop.run(_alone(plan) if processes == 1 else _together(plan, processes))


async def _alone(plan: Plan) -> Report:
    generator = Generator(plan)
    await generator.prepare()
    with _on_interrupt(generator.stop):
        return await generator.run(time.monotonic() + _LEAD_S)


async def _together(plan: Plan, count: int) -> Report:
    """Give each process an equal share; they take turns, so that the whole rate is even."""
    find_target(plan.url)  # else each process would refuse for itself
    share = replace(
        plan, rate=plan.rate / count, connections=max(plan.connections // count, 1),
        max_connections=max(plan.max_connections // count, 1),
    )  # fmt: skip
    shares = [
        await asyncio.create_subprocess_exec(
            *_CHILD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True, limit=1 << 24,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        for child in shares:
            _tell(child, asdict(share))
        for child in shares:
            await _hear(child)
        start = time.monotonic() + _LEAD_S
        for turn, child in enumerate(shares):
            _tell(child, start + turn / plan.rate)
        with _on_interrupt(functools.partial(_close_all, shares)):
            reports = [Report.from_plain(await _hear(child)) for child in shares]
    finally:
        _close_all(shares)  # they end with their input
        await asyncio.gather(*(child.wait() for child in shares))
    for other in reports[1:]:
        reports[0].add(other)
    return reports[0]


def _tell(child: asyncio.subprocess.Process, message: Any) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(message).encode() + b"\n")


async def _hear(child: asyncio.subprocess.Process) -> Any:
    assert child.stdout is not None
    line = await child.stdout.readline()
    if not line:
        raise CannotMeasure(
            "CALL_FAILED", "a process of the load generator has ended before its time"
        )
    message = json.loads(line)
    if isinstance(message, dict) and "problem" in message:
        raise CannotMeasure(message["code"], message["problem"], message["hint"])
    return message


def _close_all(children: list[asyncio.subprocess.Process]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.close()


@contextlib.contextmanager
def _on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
