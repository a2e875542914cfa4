"""The real slowhttptest: thousands of clients that send or read as slowly as can be."""

import csv
import subprocess
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from chaos.load import Load, load
from chaos.peers import install, nginx
from chaos.scenario import Findings, Scenario
from chaos.site import HTTP_TOOL, http_backend, site
from tests.support.gateway import Gateway

CLIENTS = 4000
_RATE = 300.0
_PROBE_S = 5
_JSON = "application/json"
ATTACKS = {
    "headers": ("-H", "-x", "24", "-i", "5", "-t", "POST"),
    "bodies": ("-B", "-s", "8192", "-x", "64", "-i", "5", "-t", "POST", "-f", _JSON, "-m", _JSON),
    "reads": ("-X", "-w", "1", "-y", "64", "-n", "5", "-z", "8", "-k", "3"),
}
_PATHS = {"headers": "/mcp", "bodies": "/mcp", "reads": "/metrics"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What slowhttptest has seen of a server."""

    seconds: int
    unavailable_s: int
    connected: int
    """At most, at the same time."""
    closed: int
    """At the end."""


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

    The same clients are given to nginx for as long, while the gateway has the same calls:
    slowhttptest takes a whole CPU for itself after a while, from which calls suffer whomever it
    attacks.
    """
    install("slowhttptest")
    install("nginx", "nginx-light")
    findings.note(clients=CLIENTS, seconds_each=seconds)
    with http_backend() as (web, _), nginx({"web": web}, (), 1) as peer, site(2) as gateway:
        for kind in ATTACKS:
            with _calls(gateway, seconds / 4) as before:
                pass
            with _calls(gateway, seconds) as others:
                seen = attack(kind, f"http://127.0.0.1:{gateway.port}", seconds)
            with _calls(gateway, seconds) as spared:
                there = f"http://127.0.0.1:{peer.port}"
                same = attack(kind, there, seen.seconds, peer.target(kind))
            findings.note(**{
                f"{kind}_seconds": seen.seconds, f"{kind}_unavailable_s": seen.unavailable_s,
                f"{kind}_connected": seen.connected, f"{kind}_connected_to_nginx": same.connected,
            })  # fmt: skip
            findings.expect(seen.unavailable_s == 0, f"it is there all the time: {kind}")
            is_same = same.connected > CLIENTS / 2 and same.seconds > seen.seconds / 2
            findings.expect(is_same, f"nginx is attacked as well: {kind}")
            _judge(kind, {"before": before, "attacked": others, "spared": spared}, findings)


def _judge(kind: str, loads: dict[str, Load], findings: Findings) -> None:
    failed = {when: one.failures for when, one in loads.items() if one.failures}
    p99_ms, spared_ms = loads["attacked"].p99_ms, loads["spared"].p99_ms
    findings.note(**{
        f"{kind}_failures_of_others": sum(loads["attacked"].failures.values()),
        f"{kind}_their_p99_ms": p99_ms, f"{kind}_spared_p99_ms": spared_ms,
        f"{kind}_before_p99_ms": loads["before"].p99_ms,
    })  # fmt: skip
    findings.expect(not failed, f"others are served: {kind}: {failed}")
    findings.aim(p99_ms < 2 * spared_ms, f"nobody waits for them: {kind}")


def _calls(gateway: Gateway, seconds: float) -> AbstractContextManager[Load]:
    return load(gateway.url, HTTP_TOOL, rate=_RATE, seconds=seconds)


SCENARIOS = (
    Scenario(
        "slowhttptest", "4,000 slow clients of each kind: there all the time", slowhttptest, 60
    ),
)
