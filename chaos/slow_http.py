"""The real slowhttptest: thousands of clients that send or read as slowly as can be."""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.load import Load, load
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, site
from tests.support.gateway import Gateway

CLIENTS = 4000
_RATE = 150.0
"""Of calls to each gateway."""
_PROBE_S = 5
_JSON = "application/json"
ATTACKS = {
    "headers": ("-H", "-x", "24", "-i", "5", "-t", "POST"),
    "bodies": ("-B", "-s", "8192", "-x", "64", "-i", "5", "-t", "POST", "-f", _JSON, "-m", _JSON),
    "reads": ("-X", "-w", "1", "-y", "64", "-n", "5", "-z", "8", "-k", "3"),
}
_PATHS = {"headers": "/mcp", "bodies": "/mcp", "reads": "/metrics"}


class Missing(Exception):
    """A program is not installed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What slowhttptest has seen of a server."""

    seconds: int
    unavailable_s: int
    connected: int
    """At most, at the same time."""
    closed: int
    """At the end."""


def install(program: str, package: str = "") -> None:
    """Have a program of Debian installed.

    Raises:
        Missing: it is not there, and cannot be installed from here.
    """
    if shutil.which(program) is not None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-q", package or program]
        subprocess.run(command, check=False, stdout=sys.stderr)
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed. hint: apt-get install {package or program}")


def attack(kind: str, base: str, seconds: float, path: str = "") -> Seen:
    """Attack a server, and have its availability probed from outside each second."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "slowhttptest", *ATTACKS[kind], "-c", str(CLIENTS), "-r", str(CLIENTS // 4),
            "-l", str(round(seconds)), "-p", str(_PROBE_S), "-u", base + (path or _PATHS[kind]),
            "-g", "-o", f"{folder}/seen", "-v", "0",
        ]  # fmt: skip
        subprocess.run(
            command, check=False, timeout=seconds + 60,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with Path(f"{folder}/seen.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    states = [{name.strip(): int(value) for name, value in row.items()} for row in rows]
    return Seen(
        len(states), sum(state["Service Available"] == 0 for state in states),
        max(state["Connected"] for state in states), states[-1]["Closed"],
    )  # fmt: skip


def slowhttptest(seconds: float, findings: Findings) -> None:
    """Have thousands of clients send heads slowly, then bodies, then read slowly.

    Two gateways have the same calls at the same time, and one of them has the slow clients. What
    these do to calls by taking a whole CPU for themselves, which they do, they do to both.
    """
    install("slowhttptest")
    with site(2) as gateway, site(2) as other:
        base = f"http://127.0.0.1:{gateway.port}"
        findings.note(clients=CLIENTS, seconds_each=seconds)
        for kind in ATTACKS:
            with _calls(gateway, other, seconds / 4) as (before, _):
                pass
            with _calls(gateway, other, seconds) as (hit, calm):
                seen = attack(kind, base, seconds)
            failed = [one.failures for one in (hit, calm) if one.failures]
            findings.note(**{
                f"{kind}_unavailable_s": seen.unavailable_s, f"{kind}_connected": seen.connected,
                f"{kind}_failures_of_others": sum(sum(kinds.values()) for kinds in failed),
                f"{kind}_their_p99_ms": hit.p99_ms, f"{kind}_calm_p99_ms": calm.p99_ms,
                f"{kind}_before_p99_ms": before.p99_ms,
                f"{kind}_ratio": round(hit.p99_ms / calm.p99_ms, 2),
            })  # fmt: skip
            findings.expect(seen.unavailable_s == 0, f"it is there all the time: {kind}")
            findings.expect(not failed, f"others are served: {kind}: {failed}")
            findings.aim(hit.p99_ms < 2 * calm.p99_ms, f"nobody waits for them: {kind}")


@contextmanager
def _calls(gateway: Gateway, other: Gateway, seconds: float) -> Iterator[tuple[Load, Load]]:
    """Call a server behind each."""
    with (
        load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as hit,
        load(other.url, HTTP_TOOL, rate=_RATE, seconds=seconds) as calm,
    ):
        yield hit, calm


SCENARIOS = (
    Scenario(
        "slowhttptest", "4,000 slow clients of each kind: there all the time", slowhttptest, 60
    ),
)
