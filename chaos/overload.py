"""More calls than can be served: of one server, and of the gateway itself."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.stage import cpu_seconds
from chaos.backends import SLOW_S
from chaos.load import Load, load
from chaos.measures import cpu_waited_s, rss_mib
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, site, weak_backend
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

TIMES = 3
REFUSED, REFUSED_IN_SESSION = "HTTP 503", "error 32004"
"""How modern clients are refused, and legacy ones."""
_PROMPT_MS = 100.0
"""On a machine that others use as well; 10 ms on one of its own."""
_GOOD = 0.9
_ROUNDS, _PEAK_S = 15, 2.5
"""What a worker can do is measured anew before each time of too much: the machine has its moods,
and one round differs from the next by a tenth."""
_FULL = (1.0, 1.2)
"""Where the peak is looked for: at so many times what few clients get."""
_GROWTH_MIB = 64.0
_RECOVERY_S = 5.0
_PROBE_S = 1.0
"""So rarely, for three questions on connections of their own cost as much as ten calls."""
_MANY = 1000
"""Connections, opened before."""


def busy_server(seconds: float, findings: Findings) -> None:
    """Send a server three times the calls that it can do; another one gets its usual ones."""
    with weak_backend("slow") as port:
        slow = {"id": "slow", "url": f"http://127.0.0.1:{port}/mcp"}
        with site(1, slow) as gateway:
            gateway.wait_up("slow")
            rate = 1 / SLOW_S
            with load(gateway.url, "slow__echo", rate=rate * 0.95, seconds=seconds / 2) as peak:
                pass
            with (
                _watched(gateway, "slow__echo") as after,
                load(gateway.url, "slow__echo", rate=TIMES * rate, seconds=seconds,
                     connections=_MANY) as calls,
                load(gateway.url, HTTP_TOOL, rate=100, seconds=seconds) as others,
            ):  # fmt: skip
                after.probe_for(seconds)
            findings.note(
                peak_per_s=peak.ok_per_second, offered_per_s=TIMES * rate,
                calls_to_others=others.calls, their_failures=sum(others.failures.values()),
            )  # fmt: skip
            _judge(findings, after, calls, calls.ok_per_second / peak.ok_per_second)
            findings.expect(not others.failures, f"others are served on: {others.failures}")


def busy_worker(seconds: float, findings: Findings) -> None:
    """Send one worker three times what it can do, in calls that are dear to it.

    They are a legacy client's to a modern server, which are translated on the common way. The peak
    is that of the same clients, when they send about as much as can be done: calls of a thousand
    connections cost more than those of a few that are always busy. Too much is three times that.
    """
    with weak_backend("modern") as port:
        new = {"id": "new", "url": f"http://127.0.0.1:{port}/mcp"}
        with site(1, new) as gateway:
            gateway.wait_up("new")
            rounds = [_round(gateway, seconds / _ROUNDS) for _ in range(_ROUNDS)]
            refused = [one.few.failures.get(REFUSED_IN_SESSION, 0) for one in rounds]
            findings.expect(not any(refused), f"few are served, also after too many: {refused}")
            of_each, middle, peak = _compared(rounds)
            findings.note(
                few_per_s=middle.few.ok_per_second, peak_per_s=round(peak.per_s),
                goodput_per_s=round(middle.served.per_s),
                offered_per_s=round(middle.offered_per_s),
                call_us=round(peak.call_us), good_call_us=round(middle.served.call_us),
                goodput_of_each=str([round(good, 2) for good in of_each]),
            )  # fmt: skip
            good, served = median(of_each), middle.served.calls
            _judge(findings, middle.after, served, good, REFUSED_IN_SESSION)


@dataclass(slots=True)
class _Served:
    """What many clients got."""

    calls: Load
    per_s: float
    """Calls that went well in a second in which the worker could run: not in those in which other
    processes had the CPU that it wanted."""
    call_us: float
    """CPU time of the worker for a call that went well."""


@dataclass(slots=True)
class _Round:
    """Measurements of what the worker can do, and one of too much."""

    few: Load
    """What clients get that are few and never rest."""
    full: list[_Served]
    """While there is about as much as can be done."""
    offered_per_s: float
    """What too much was: so many times what was done at best."""
    served: _Served
    """While there is too much."""
    after: "_Watch"


def _round(gateway: Gateway, seconds: float) -> _Round:
    wait_until(lambda: _is_over(gateway), "nothing is refused any more")
    with _most_of_few(gateway):
        pass  # what was refused before shall be over, though they ask without a pause
    with _most_of_few(gateway) as few:
        pass
    full = [_serve(gateway, times * few.ok_per_second, seconds / 2) for times in _FULL]
    too_many = TIMES * max(one.calls.ok_per_second for one in full)
    with _watched(gateway, "new__echo") as after, ThreadPoolExecutor() as pool:
        looking = pool.submit(after.probe_for, seconds)
        served = _serve(gateway, too_many, seconds)
        looking.result()
    return _Round(few, full, too_many, served, after)


def _is_over(gateway: Gateway) -> bool:
    """Say whether the gateway has said so: until then a generator's first call may be refused."""
    log = gateway.log
    return log.count('"overloaded: ') == log.count('"no longer overloaded: ')


def _compared(rounds: list[_Round]) -> tuple[list[float], _Round, _Served]:
    """Return what went well of the peak in each round, and the round in the middle with its peak.

    The peak is at the rate at which more went well in most rounds: the higher one of two figures
    in each round would be too high, for both vary.
    """
    goods = [[one.served.per_s / one.full[at].per_s for one in rounds] for at in range(len(_FULL))]
    of_each = min(goods, key=median)
    middle = rounds[of_each.index(median(of_each))]
    return of_each, middle, middle.full[goods.index(of_each)]


def _serve(gateway: Gateway, rate: float, seconds: float) -> _Served:
    """Have many clients send calls."""
    pid = gateway.pids("worker")[0]
    _wait_well(_Watch(gateway, "new__echo"))  # the generator's first call is not to be refused
    cpu_s, waited_s = cpu_seconds(pid), cpu_waited_s(pid)
    with load(gateway.url, "new__echo", rate=rate, seconds=seconds, connections=_MANY,
              era="legacy") as calls:  # fmt: skip
        pass
    could_run = 1 - (cpu_waited_s(pid) - waited_s) / seconds
    call_us = (cpu_seconds(pid) - cpu_s) / calls.ok * 1e6
    return _Served(calls, calls.ok_per_second / could_run, call_us)


def _most_of_few(gateway: Gateway) -> AbstractContextManager[Load]:
    """Send more than few connections can carry: they find out what the worker can do."""
    return load(gateway.url, "new__echo", rate=8000, seconds=_PEAK_S, most=32, era="legacy")


@dataclass(slots=True)
class _Watch:
    """What is seen of a gateway from outside meanwhile."""

    gateway: Gateway
    tool: str
    grown_mib: float = 0.0
    recovered_s: float = 0.0
    probes: list[float] = field(default_factory=list)
    """How long each question for its state took."""

    def probe_for(self, seconds: float) -> None:
        """Ask for health and metrics all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            assert self.gateway.get("/health")[0] == 200
            assert self.gateway.get("/readyz")[0] == 200
            assert self.gateway.get("/metrics")[0] == 200
            self.probes.append(time.monotonic() - began)
            time.sleep(_PROBE_S)


@contextmanager
def _watched(gateway: Gateway, tool: str) -> Iterator[_Watch]:
    """Watch memory, and after the block how soon all is well again."""
    pid = gateway.pids("worker")[0]
    watch, before = _Watch(gateway, tool), rss_mib(pid)
    yield watch
    watch.grown_mib = round(rss_mib(pid) - before, 1)
    began = time.monotonic()
    _wait_well(watch)
    watch.recovered_s = round(time.monotonic() - began, 2)


def _wait_well(watch: _Watch) -> None:
    """Wait until several clients at once are served."""
    with ThreadPoolExecutor() as pool:
        wait_until(lambda: all(pool.map(_is_served, [watch] * 8)), "it has recovered")


def _is_served(watch: _Watch) -> bool:
    with McpClient(watch.gateway.port) as client:
        try:
            return client.call(watch.tool, text="well again").startswith("well again")
        except CallFailed:
            return False


def _judge(
    findings: Findings, watch: _Watch, calls: Load, good: float, refusal: str = REFUSED
) -> None:
    """Note what was seen, and what of it is not as promised."""
    others = {kind: count for kind, count in calls.failures.items() if kind != refusal}
    refused = calls.failures.get(refusal, 0)
    prompt_ms, late_ms = (
        calls.refusal_ms(refusal, percentile) if refused else 0.0 for percentile in ("p50", "p99")
    )
    findings.note(
        goodput_of_peak=round(good, 2), refused=refused,
        other_failures=sum(others.values()), refused_after_p50_ms=prompt_ms,
        refused_after_p99_ms=late_ms,
        p99_ms=calls.p99_ms, grown_mib=watch.grown_mib, recovered_after_s=watch.recovered_s,
        health_and_metrics_max_ms=round(max(watch.probes) * 1000),
    )  # fmt: skip
    findings.expect(refused > 0, "what is too much is refused")
    findings.expect(not others, f"every call is answered or refused: {others}")
    findings.aim(good >= _GOOD, "goodput stays")
    findings.aim(prompt_ms < _PROMPT_MS, "refusals come at once")
    findings.expect(watch.grown_mib < _GROWTH_MIB, "memory is flat")
    findings.aim(watch.recovered_s < _RECOVERY_S, "it recovers")


SCENARIOS = (
    Scenario("busy-server", "what one server cannot do is refused at once", busy_server, 10),
    Scenario("busy-worker", "what a worker cannot do is refused at once", busy_worker, 60),
)
