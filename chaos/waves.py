"""Calls of many clients, at one rate and at another in turns.

What is done of enough and of too much is compared second by second, for a machine that others use
has its moods, and they last for seconds.

    python -m chaos.waves URL TOOL PID LOW HIGH SECONDS

prints what `only1mcp benchmark --json` prints, and `halves`: of each wave, low and high, how many
calls went well in a second in which that process could run, and how much of that it ran.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass

import uvloop

from chaos.measures import cpu_s, cpu_waited_s
from only1mcp.benchmark.generator import Generator
from only1mcp.benchmark.plan import LEGACY, Plan
from only1mcp.cli.benchmark_report import plain_report

MANY = 1000
"""Connections, opened before."""
HALF_S = 0.5
_SETTLE = 0.25
"""The part of each half that does not count: what came before is still being done."""
_LEAD_S = 0.1


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


async def _send(url: str, tool: str, pid: int, waves: Waves, seconds: float) -> None:
    plan = Plan(url, tool, '{"text":"{nonce}"}', waves.rate, seconds, MANY, era=LEGACY)
    generator = Generator(plan, waves)
    await generator.prepare()
    start = time.monotonic() + _LEAD_S
    async with asyncio.TaskGroup() as group:
        running = group.create_task(generator.run(start))
        halves = [
            await _look(generator, pid, start + number * waves.half_s, waves.half_s)
            for number in range(2 * int(seconds / waves.half_s / 2))
        ]
    report = plain_report(plan, running.result())
    print(json.dumps({"data": {**report, "halves": halves}}))


async def _look(generator: Generator, pid: int, begin: float, half_s: float) -> tuple[float, float]:
    """Return calls that go well in a second in which the process can run, and how much it runs."""
    await asyncio.sleep(begin + _SETTLE * half_s - time.monotonic())
    moment, well, ran, waited = _state(generator, pid)
    await asyncio.sleep(begin + half_s - time.monotonic())
    end, well_then, ran_then, waited_then = _state(generator, pid)
    could_run_s = end - moment - (waited_then - waited)
    return (well_then - well) / could_run_s, (ran_then - ran) / could_run_s


def _state(generator: Generator, pid: int) -> tuple[float, int, float, float]:
    return time.monotonic(), generator.report.ok.count, cpu_s(pid), cpu_waited_s(pid)


def main() -> None:
    """Do what the command line asks for."""
    url, tool, pid, low, high, seconds = sys.argv[1:]
    waves = Waves(float(low), float(high), HALF_S)
    uvloop.run(_send(url, tool, int(pid), waves, float(seconds)))


if __name__ == "__main__":
    main()
