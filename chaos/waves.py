"""Calls of many clients, at one rate and at another in turns.

What is done of enough and of too much is compared second by second, for a machine that others use
has its moods, and they last for seconds.

    python -m chaos.waves URL TOOL PID LOW HIGH SECONDS

prints what `only1mcp benchmark --json` prints, and `waves`: of the low half of each and then of its
high one, how many calls were sent in a second, how many went well in a second in which that process
could run, and how much of that it ran.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass

import uvloop

from chaos.measures import ran_and_waited_s
from only1mcp.benchmark.generator import Generator
from only1mcp.benchmark.plan import LEGACY, Plan
from only1mcp.cli.benchmark_report import plain_report

MANY = 1000
"""Connections, opened before; there are never more."""
HALF_S = 0.45
"""No whole part of a second: what comes once a second is to come in either half."""
_SETTLE = 0.25
"""The part of each half that does not count: what came before is still being done."""
_LEAD_S = 0.1
Half = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Waves:
    """A schedule of two rates in turns."""

    low: float
    high: float
    half_s: float

    @property
    def rate(self) -> float:
        """Calls a second on average."""
        return (self._few + self._many) / 2 / self.half_s

    def due(self, elapsed_s: float) -> int:
        """Return how many calls are due by then."""
        wave, rest_s = divmod(elapsed_s, 2 * self.half_s)
        before = int(wave) * (self._few + self._many)
        if rest_s < self.half_s:
            return before + int(rest_s * self._few / self.half_s) + 1
        return before + self._few + int((rest_s - self.half_s) * self._many / self.half_s) + 1

    def moment(self, number: int) -> float:
        """Return when a call is due."""
        wave, rest = divmod(number, self._few + self._many)
        began = wave * 2 * self.half_s
        if rest < self._few:
            return began + rest * self.half_s / self._few
        return began + self.half_s + (rest - self._few) * self.half_s / self._many

    @property
    def _few(self) -> int:
        return round(self.low * self.half_s)

    @property
    def _many(self) -> int:
        return round(self.high * self.half_s)


async def _send(url: str, tool: str, pid: int, schedule: Waves, seconds: float) -> None:
    plan = Plan(url, tool, '{"text":"{nonce}"}', schedule.rate, seconds, MANY, MANY, era=LEGACY)
    generator = Generator(plan, schedule)
    await generator.prepare()
    start, waves = time.monotonic() + _LEAD_S, list[tuple[Half, Half]]()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(generator.run(start))
        for number in range(int(seconds / HALF_S / 2)):
            began = start + number * 2 * HALF_S
            low = await _look(generator, pid, began)
            high = await _look(generator, pid, began + HALF_S)
            if low is not None and high is not None:
                waves.append((low, high))
    print(json.dumps({"data": {**plain_report(plan, running.result()), "waves": waves}}))


async def _look(generator: Generator, pid: int, began: float) -> Half | None:
    """Return what was done in most of a half; None if that was missed for being late."""
    await asyncio.sleep(began + _SETTLE * HALF_S - time.monotonic())
    moment, sent, well, ran, waited = _state(generator, pid)
    await asyncio.sleep(began + HALF_S - time.monotonic())
    end, sent_then, well_then, ran_then, waited_then = _state(generator, pid)
    could_run_s = end - moment - (waited_then - waited)
    if could_run_s < HALF_S / 3:
        return None
    return (
        (sent_then - sent) / (end - moment),
        (well_then - well) / could_run_s, (ran_then - ran) / could_run_s,
    )  # fmt: skip


def _state(generator: Generator, pid: int) -> tuple[float, int, int, float, float]:
    report = generator.report
    return time.monotonic(), report.lateness.count, report.ok.count, *ran_and_waited_s(pid)


def main() -> None:
    """Do what the command line asks for."""
    url, tool, pid, low, high, seconds = sys.argv[1:]
    waves = Waves(float(low), float(high), HALF_S)
    uvloop.run(_send(url, tool, int(pid), waves, float(seconds)))


if __name__ == "__main__":
    main()
