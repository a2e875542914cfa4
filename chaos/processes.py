"""Our own processes are killed."""

import os
import re
import signal
import time
from collections.abc import Callable

from chaos.load import LOST, load
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, STDIO_TOOL, site, wait_usable
from tests.support.gateway import Gateway
from tests.support.processes import Herd
from tests.support.waiting import wait_until
from tests.support.zoo import animal

_EVERY_S = 0.25
_RATE = 400.0
_SETTLE_S = 0.5
_CONNECTIONS = 32


def _again_and_again(seconds: float, every_s: float, act: Callable[[int], None]) -> int:
    """Do something at intervals; returns how often."""
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        time.sleep(every_s)
        act(count)
        count += 1
    return count


def worker_kills(seconds: float, findings: Findings) -> None:
    """Kill one of two workers every quarter of a second."""
    with site(workers=2) as gateway:
        whole = seconds + 2 * _SETTLE_S
        with load(
            gateway.url, HTTP_TOOL, rate=_RATE, seconds=whole, connections=_CONNECTIONS
        ) as calls:
            time.sleep(_SETTLE_S)
            killed: list[int] = []
            _again_and_again(seconds, _EVERY_S, lambda turn: _kill_worker(gateway, turn, killed))
        failures = calls.failures
        lost, kills = failures.pop(LOST, 0), len(killed)
        findings.note(
            calls=calls.calls, kills=kills, lost=lost, other_failures=sum(failures.values()),
            p99_ms=calls.p99_ms,
        )  # fmt: skip
        findings.expect(not failures, f"nobody is refused or reset: {failures}")
        findings.expect(lost <= kills * _CONNECTIONS, "only what was under way there is lost")
        findings.expect(lost < calls.calls / 4, "most calls do not notice")
        wait_until(lambda: len(gateway.pids("worker")) == 2, "both workers are there")


def _kill_worker(gateway: Gateway, turn: int, killed: list[int]) -> None:
    """Kill one of two, be it one that starts; the other may have to serve alone, or nobody can."""
    pids = gateway.pids("worker")
    if len(pids) == 2:
        os.kill(pids[turn % 2], signal.SIGKILL)
        killed.append(pids[turn % 2])


def host_kills(seconds: float, findings: Findings) -> None:
    """Kill the process that owns the stdio servers, while HTTP and stdio servers are called."""
    with site(workers=2) as gateway, Herd.below(gateway.pid):
        with (
            load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds + _SETTLE_S) as web,
            load(gateway.url, STDIO_TOOL, rate=50, seconds=seconds + _SETTLE_S) as pipe,
        ):
            kills = _again_and_again(seconds - 1, 2.0, lambda _: _kill(gateway, "host"))
        wait_usable(gateway)
        findings.note(
            http_calls=web.calls, http_failures=sum(web.failures.values()), kills=kills,
            stdio_calls=pipe.calls, stdio_failures=sum(pipe.failures.values()),
        )  # fmt: skip
        findings.expect(not web.failures, f"HTTP servers are served on: {web.failures}")
        findings.expect(LOST not in pipe.failures, "who is called in vain is told so")
        findings.expect(
            sum(pipe.failures.values()) < pipe.calls / 2, "stdio servers come back at once"
        )


def control_kills(seconds: float, findings: Findings) -> None:
    """Kill the control process."""
    with site(workers=2) as gateway:
        with (
            load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as web,
            load(gateway.url, STDIO_TOOL, rate=_RATE / 4, seconds=seconds) as pipe,
        ):
            kills = _again_and_again(seconds - 1, 1.0, lambda _: _kill(gateway, "control"))
        failures = web.failures | pipe.failures
        findings.note(calls=web.calls + pipe.calls, kills=kills, failures=sum(failures.values()))
        findings.expect(not failures, f"no call notices: {failures}")
        wait_until(lambda: gateway.pids("control"), "the control process is there")


def _kill(gateway: Gateway, role: str) -> None:
    row = next((row for key, row in gateway.processes().items() if key[0] == role), None)
    if row is not None:
        os.kill(row["pid"], signal.SIGKILL)


def supervisor_kill(seconds: float, findings: Findings) -> None:
    """Kill the supervisor under load; a server's daemon that left its session runs, too."""
    with (
        site(2, animal("daemon", "parent", os.devnull)) as gateway,
        Herd.below(gateway.pid) as herd,
        load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds, timeout_s=2),
    ):
        wait_until(lambda: _has_called(gateway), "calls are under way")
        time.sleep(seconds / 2)
        os.kill(gateway.pid, signal.SIGKILL)
        began = time.monotonic()
        herd.wait_gone(5.0)
        findings.note(processes=len(herd.pids), all_gone_after_s=round(time.monotonic() - began, 2))
        findings.expect(not herd.alive, "nothing is left")


def _has_called(gateway: Gateway) -> bool:
    """Say whether calls go to the server: of a generator that has just begun, none may yet."""
    _, text = gateway.get("/metrics")
    count = re.search(rb'upstream_requests_total\{server_id="web",status="ok"\} (\d+)', text)
    return count is not None and int(count[1]) > 1


SCENARIOS = (
    Scenario("worker-kills", "kill -9 costs what was under way on that worker", worker_kills, 6),
    Scenario("host-kills", "HTTP servers never notice, stdio servers come back", host_kills, 8),
    Scenario("control-kills", "no call notices", control_kills, 5),
    Scenario("supervisor-kill", "nothing is left, daemons of servers included", supervisor_kill, 2),
)
