"""The program itself is replaced under load."""

import time

from chaos.load import load
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, STDIO_TOOL, site
from tests.support.gateway import Gateway

_RATE = 300.0
_PAUSE_S = 0.5


def upgrades(seconds: float, findings: Findings) -> None:
    """Have the installed program take the place of the one that runs, again and again."""
    _replace("upgrade", seconds, findings)


def restarts(seconds: float, findings: Findings) -> None:
    """Replace the workers one after the other, again and again."""
    _replace("restart", seconds, findings)


def _replace(how: str, seconds: float, findings: Findings) -> None:
    """Call all the while: over HTTP in both eras, and to a program."""
    with site(workers=2) as gateway:
        before = _supervisor(gateway)
        whole = seconds + 2 * _PAUSE_S
        with (
            load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=whole) as modern,
            load(gateway.url, HTTP_TOOL, rate=_RATE / 3, seconds=whole, era="legacy") as legacy,
            load(gateway.url, STDIO_TOOL, rate=_RATE / 3, seconds=whole) as pipe,
        ):
            count, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(_PAUSE_S)
                code, _, said = gateway.run(how, "--port", str(gateway.port))
                findings.expect(code == 0, f"it is done: {said}")
                count += 1
        runs = (modern, legacy, pipe)
        failures = [f"{kind}: {n}" for run in runs for kind, n in run.failures.items()]
        findings.note(
            times=count, calls=sum(run.calls for run in runs),
            failures=sum(sum(run.failures.values()) for run in runs),
            p99_ms=max(run.p99_ms for run in runs),
        )  # fmt: skip
        findings.expect(not failures, f"no call fails: {failures}")
        is_another = _supervisor(gateway) != before
        findings.expect(is_another == (how == "upgrade"), "who leads is who is to")


def _supervisor(gateway: Gateway) -> int:
    return gateway.pids("supervisor")[0]


SCENARIOS = (
    Scenario("upgrades", "a new program takes over, and no call fails", upgrades, 15),
    Scenario("restarts", "new workers take over, and no call fails", restarts, 10),
)
