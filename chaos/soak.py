"""Hours in short: a gateway at half its load, with all that changes and dies around it."""

import itertools
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from chaos.load import load
from chaos.measures import own_files, rss_mib, threads
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, STDIO_TOOL, http_backend
from only1mcp.transports.stdio import descendants
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.zoo import animal, zoo

_RATE, _STDIO_RATE = 400.0, 100.0
_SAMPLE_S = 2.0
_RELOAD_S, _CHURN_S, _KILL_S = 5.0, 1.0, 15.0
_SESSIONS = 20
_WARM_UP = 0.25
"""Of the whole: caches fill, and memory that was freed is kept for the next time."""
_FILL = 0.05
"""Likewise, at the beginning: sessions are opened as fast as can be, for a worker remembers some
thousands of them, and would else seem to grow for a quarter of an hour."""
_GROWTH_MIB = 6.0
_SLOPE_MIB_PER_H, _LONG_S = 1.0, 1500.0
"""An aim, which is told from chance in long runs alone."""
_SPARE = 8
"""Descriptors and children that may come and go between two samples."""
_KEPT = ("supervisor", "host", "worker-0")
"""These are never killed: a new process would hide what the last one lost."""


@dataclass(slots=True)
class Samples:
    """What one process had in use, again and again."""

    moments: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, moment: float, pid: int, port: int) -> None:
        """Look once; clients' connections to the port do not count as files."""
        self.moments.append(moment)
        self.memory.append(rss_mib(pid))
        self.files.append(own_files(pid, port))
        self.threads.append(threads(pid))

    def warm(self) -> "Samples":
        """Return those after the warm-up."""
        begin = self.moments[0] + _WARM_UP * (self.moments[-1] - self.moments[0])
        first = next(at for at, moment in enumerate(self.moments) if moment >= begin)
        return Samples(
            self.moments[first:], self.memory[first:], self.files[first:], self.threads[first:]
        )

    def slope_per_h(self, values: list[float] | list[int]) -> float:
        """Return the median slope between values of the first half and of the second."""
        half = len(values) // 2
        pairs = zip(range(half), range(half, 2 * half), strict=True)
        slopes = [
            (values[late] - values[early]) / (self.moments[late] - self.moments[early])
            for early, late in pairs
        ]
        return statistics.median(slopes) * 3600 if slopes else 0.0

    def growth(self, values: list[float]) -> float:
        """Return by how much the median of the last quarter is above that of the first."""
        quarter = max(len(values) // 4, 1)
        return statistics.median(values[-quarter:]) - statistics.median(values[:quarter])


class Life:
    """What happens to the gateway meanwhile; each kind in a thread of its own."""

    def __init__(self, gateway: Gateway, plain: dict[str, object], more: dict[str, object]) -> None:
        self._gateway = gateway
        self._configs = itertools.cycle((more, plain))
        self._victims = itertools.cycle(("worker", "control", "child"))
        self._over = threading.Event()
        self.counts = {"reloads": 0, "sessions": 0, "kills": 0}
        self.samples: dict[str, Samples] = {name: Samples() for name in _KEPT}
        self.children: list[int] = []
        self.problems: list[str] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Let all that happen for the time of the block."""
        doings = {self.reload: _RELOAD_S, self.churn: _CHURN_S, self.kill: _KILL_S,
                  self.sample: _SAMPLE_S}  # fmt: skip
        threads_ = [
            threading.Thread(target=self._repeat, args=(what, every_s))
            for what, every_s in doings.items()
        ]
        for thread in threads_:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads_:
                thread.join()

    def _repeat(self, what: Callable[[], None], every_s: float) -> None:
        while not self._over.wait(every_s):
            try:
                what()
            except Exception as error:  # noqa: BLE001 - found, and told with the rest
                self.problems.append(f"{what.__name__}: {error!r}")

    def reload(self) -> None:
        """Add a server, or take it away."""
        self._gateway.configure(next(self._configs))
        self._gateway.send(signal.SIGHUP)
        self.counts["reloads"] += 1

    def fill(self, seconds: float) -> None:
        """Open sessions and end them for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.churn()

    def churn(self) -> None:
        """Open sessions, use them and end them."""
        for _ in range(_SESSIONS):
            with McpClient(self._gateway.port) as client, suppress(OSError, AssertionError):
                client.initialize().tools()
                client.end_session()
                self.counts["sessions"] += 1

    def kill(self) -> None:
        """Kill one process of those that are not watched, in turns."""
        victim = next(self._victims)
        pid = self._gateway.server("pipe")["pid"] if victim == "child" else self._pids().get(
            {"worker": "worker-1"}.get(victim, victim)
        )  # fmt: skip
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.counts["kills"] += 1

    def sample(self) -> None:
        """Look at the processes that live all the time, and count what stands below them."""
        pids, now = self._pids(), time.monotonic()
        if all(name in pids for name in _KEPT):
            for name in _KEPT:
                self.samples[name].take(now, pids[name], self._gateway.port)
            self.children.append(len(descendants(self._gateway.pid)))

    def _pids(self) -> dict[str, int]:
        rows = self._gateway.processes()
        return {"supervisor": self._gateway.pid} | {
            f"worker-{index}" if role == "worker" else role: row["pid"]
            for (role, index), row in rows.items()
        }


def soak(seconds: float, findings: Findings) -> None:
    """Call all the time, while the configuration changes, sessions come and go, processes die."""
    with http_backend() as (port, _):
        web = {"id": "web", "url": f"http://127.0.0.1:{port}/mcp"}
        plain = zoo(web, animal("pipe", "tame"))
        more = zoo(web, animal("pipe", "tame"), animal("more", "tame"))
        with Gateway(plain, workers=2) as gateway:
            life = Life(gateway, plain, more)
            life.fill(_FILL * seconds)
            with (
                life.going_on(),
                load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as calls,
                load(gateway.url, STDIO_TOOL, rate=_STDIO_RATE, seconds=seconds) as pipe,
            ):
                pass
    lost = calls.failures.get("connection lost", 0)
    others = sum(calls.failures.values()) - lost
    findings.note(
        seconds=seconds, **life.counts, calls=calls.calls, lost_with_a_worker=lost,
        other_failures=others, stdio_calls=pipe.calls, stdio_failures=sum(pipe.failures.values()),
    )  # fmt: skip
    findings.expect(others == 0, f"calls fail only with the worker that they were on: {calls}")
    findings.expect(lost < 64 * life.counts["kills"], "no more than were under way there")
    findings.expect(not life.problems, f"all goes on: {life.problems[:3]}")
    _judge(life, findings)


def _judge(life: Life, findings: Findings) -> None:
    for name, samples in life.samples.items():
        warm = samples.warm()
        growth, slope = warm.growth(warm.memory), warm.slope_per_h(warm.memory)
        files = max(warm.files) - min(warm.files)
        key = name.replace("-", "_")
        findings.note(**{
            f"{key}_rss_mib": round(warm.memory[-1], 1), f"{key}_growth_mib": round(growth, 2),
            f"{key}_mib_per_h": round(slope, 2), f"{key}_files": warm.files[-1],
            f"{key}_files_per_h": round(warm.slope_per_h(warm.files), 1),
            f"{key}_threads": max(warm.threads),
        })  # fmt: skip
        findings.expect(growth < _GROWTH_MIB, f"the memory of {name} is flat")
        is_long = samples.moments[-1] - samples.moments[0] > _LONG_S
        findings.aim(slope < _SLOPE_MIB_PER_H or not is_long, f"{name} does not grow")
        early, late = statistics.median(warm.files[: len(warm.files) // 4 or 1]), warm.files[-1]
        findings.expect(late - early < _SPARE + 64, f"the files of {name} are flat: {files}")
    quarter = max(len(life.children) // 4, 1)
    first, last = max(life.children[:quarter]), max(life.children[-quarter:])
    findings.note(children_at_first=first, children_at_last=last)
    findings.expect(last - first < _SPARE, "no children pile up")


SCENARIOS = (Scenario("soak", "nothing grows, whatever comes and goes", soak, 60),)
