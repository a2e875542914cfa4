"""More calls than can be served: of one server, and of the gateway itself."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import mean, median

from chaos.backends import SLOW_S
from chaos.load import Load, generator, load
from chaos.measures import rss_mib
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, site, weak_backend
from chaos.waves import MANY
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until

TIMES = 3
REFUSED, REFUSED_IN_SESSION = "HTTP 503", "error 32004"
"""How modern clients are refused, and legacy ones."""
_NEVER_SENT = "never sent"
_PROMPT_MS = 100.0
"""On a machine that others use as well; 10 ms on one of its own."""
_GOOD = 0.9
_ROUNDS, _PEAK_S = 8, 2.5
"""What a worker can do is measured anew before each time of too much: the machine has its moods."""
_FULL = 1.15
"""So many times what was found to be the most keeps it busy, and is little too much."""
_BUSY = 0.97
_OFFERED = 0.95
"""So much of what is to be sent is, by a generator that keeps up."""
_GROWTH_MIB = 64.0
_RECOVERY_S = 5.0
_PROBE_S = 1.0
"""So rarely, for three questions on connections of their own cost as much as ten calls."""


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
                     connections=MANY) as calls,
                load(gateway.url, HTTP_TOOL, rate=100, seconds=seconds) as others,
            ):  # fmt: skip
                after.probe_for(seconds)
            findings.note(
                peak_per_s=peak.ok_per_second, offered_per_s=TIMES * rate,
                calls_to_others=others.calls, their_failures=sum(others.failures.values()),
            )  # fmt: skip
            _judge(findings, after, [calls], calls.ok_per_second / peak.ok_per_second)
            findings.expect(not others.failures, f"others are served on: {others.failures}")


def busy_worker(seconds: float, findings: Findings) -> None:
    """Send one worker three times what it can do, in calls that are dear to it.

    They are a legacy client's to a modern server, which are translated on the common way. The peak
    is that of the same clients: calls of a thousand connections cost more than those of a few that
    are always busy. Enough and too much take turns each half second.
    """
    with weak_backend("modern") as port:
        new = {"id": "new", "url": f"http://127.0.0.1:{port}/mcp"}
        with site(1, new) as gateway:
            gateway.wait_up("new")
            with _most_of_few(gateway):
                pass  # memory that any load takes is none that too much takes
            with _watched(gateway, "new__echo") as after:
                rounds = [_round(gateway, after, seconds / _ROUNDS) for _ in range(_ROUNDS)]
            _judge_waves(rounds, after, findings)


@dataclass(frozen=True, slots=True)
class _Wave:
    """What a worker does of enough and, just after that, of too much."""

    sent_per_s: float
    """Calls that were enough."""
    peak_per_s: float
    """Those that went well, in a second in which the worker could run."""
    busy: float
    """How much of such a second it was busy."""
    too_many_per_s: float
    """Calls that were too much."""
    good_per_s: float
    """Those that went well."""

    @property
    def was_busy(self) -> bool:
        """Whether enough was enough: the machine may have become faster since that was found."""
        return self.busy > _BUSY

    @property
    def good(self) -> float:
        """What went well of too much, as a part of what did of enough."""
        return self.good_per_s / self.peak_per_s


@dataclass(frozen=True, slots=True)
class _Round:
    """Waves at rates that were found just before."""

    few: Load
    """What clients get that are few and never rest."""
    enough: Load
    """What many get that ask for as much."""
    sent: Load

    @property
    def waves(self) -> list[_Wave]:
        """Those in which there was enough to do."""
        waves = [_Wave(*low, *high[:2]) for low, high in self.sent.report["waves"]]
        return [wave for wave in waves if wave.was_busy]


def _judge_waves(rounds: list[_Round], after: "_Watch", findings: Findings) -> None:
    few = sum((Counter(one.few.failures) for one in rounds), Counter[str]())
    del few[_NEVER_SENT]  # more is to be sent than a few connections carry
    findings.expect(not few, f"few are served, also after too many: {few}")
    count = sum(len(one.sent.report["waves"]) for one in rounds)
    waves = [wave for one in rounds for wave in one.waves]
    findings.note(waves=count, that_had_enough=len(waves))
    findings.expect(len(waves) > count / 2, "there is enough to do in most waves")
    if not waves:
        return
    _note_rates(rounds, waves, findings)
    times = mean(wave.too_many_per_s / wave.sent_per_s for wave in waves)
    findings.expect(times > _OFFERED * TIMES / _FULL, f"what is too much is sent: {times:.2f}")
    kept = mean(wave.peak_per_s / one.enough.ok_per_second for one in rounds for wave in one.waves)
    findings.aim(kept > _GOOD, f"the peak is no less than before there was too much: {kept:.2f}")
    loads = [load for one in rounds for load in (one.enough, one.sent)]
    _judge(findings, after, loads, median(wave.good for wave in waves), REFUSED_IN_SESSION)


def _note_rates(rounds: list[_Round], waves: list[_Wave], findings: Findings) -> None:
    goods = [[wave.good for wave in one.waves] for one in rounds]
    findings.note(
        few_per_s=round(mean(one.few.ok_per_second for one in rounds)),
        many_per_s=round(mean(one.enough.ok_per_second for one in rounds)),
        peak_per_s=round(mean(wave.peak_per_s for wave in waves)),
        goodput_per_s=round(mean(wave.good_per_s for wave in waves)),
        enough_per_s=round(mean(wave.sent_per_s for wave in waves)),
        offered_per_s=round(mean(wave.too_many_per_s for wave in waves)),
        goodput_of_each=" ".join(f"{median(of_round):.2f}" for of_round in goods if of_round),
    )  # fmt: skip


def _round(gateway: Gateway, after: "_Watch", seconds: float) -> _Round:
    wait_until(lambda: _is_over(gateway), "nothing is refused any more")
    with _most_of_few(gateway):
        pass  # what was refused before shall be over, though they ask without a pause
    with _most_of_few(gateway) as few:
        pass
    with load(gateway.url, "new__echo", rate=few.ok_per_second, seconds=_PEAK_S,
              connections=MANY, era="legacy") as enough:  # fmt: skip
        pass
    _wait_well(after)  # the generator's first call is not to be refused
    low, high = _FULL * enough.ok_per_second, TIMES * enough.ok_per_second
    command = ["chaos.waves", gateway.url, "new__echo", str(gateway.pids("worker")[0]),
               str(low), str(high), str(seconds)]  # fmt: skip
    with generator(command, seconds) as sent:
        after.probe_for(seconds)
    return _Round(few, enough, sent)


def _is_over(gateway: Gateway) -> bool:
    """Say whether the gateway has said so: until then a generator's first call may be refused."""
    log = gateway.log
    return log.count('"overloaded: ') == log.count('"no longer overloaded: ')


def _most_of_few(gateway: Gateway) -> AbstractContextManager[Load]:
    """Send more than few connections can carry: they find out what the worker can do."""
    return load(gateway.url, "new__echo", rate=6000, seconds=_PEAK_S, most=32, era="legacy")


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
    findings: Findings, watch: _Watch, loads: list[Load], good: float, refusal: str = REFUSED
) -> None:
    """Note what was seen, and what of it is not as promised."""
    others = sum((Counter(one.failures) for one in loads), Counter[str]())
    refused = others.pop(refusal, 0)
    prompt_ms, late_ms = (
        max(
            (one.refusal_ms(refusal, percentile) for one in loads if refusal in one.failures),
            default=0.0,
        )
        for percentile in ("p50", "p99")
    )
    findings.note(
        goodput_of_peak=round(good, 2), refused=refused,
        other_failures=sum(others.values()), refused_after_p50_ms=prompt_ms,
        refused_after_p99_ms=late_ms,
        p99_ms=max(one.p99_ms for one in loads), grown_mib=watch.grown_mib,
        recovered_after_s=watch.recovered_s,
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
    Scenario("busy-worker", "what a worker cannot do is refused at once", busy_worker, 240),
)
