"""Only1MCP beside other proxies, in one run: throughput, CPU per call, latency and errors.

Run as `python -m benchmarks.peers` with the development environment. Installs the proxies of PyPI
into `.peers/`, each into an environment of its own; nginx, haproxy and wrk with apt-get when run
as root, and says what is missing otherwise. docs/performance.md says how to read the table.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fronts import PEERS, ROOT, Front, fronts
from benchmarks.stage import cpu_seconds, echo_backend, running
from only1mcp.benchmark.endpoint import Endpoint
from only1mcp.benchmark.measure import measure
from only1mcp.benchmark.message import FIRST, Messages
from only1mcp.benchmark.plan import LEGACY, Plan
from only1mcp.benchmark.report import Report

TEXT = '{"text":"{nonce}"}'
MOST_PER_S = 2000.0
"""The open loop sends half of what a proxy can do, and never more than this."""
_CHILD = "benchmarks.echo_stdio"
"""It is the backend, whosever child it is."""
_PROGRAMS = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk"}
_ENVIRONMENTS = {
    "fastmcp": ["fastmcp==4.1.2"],
    "mcp-proxy": ["mcp-proxy==0.12.0", "mcp<2"],  # it does not run on the SDK's second generation
}


@dataclass(slots=True)
class Measured:
    """What one proxy has shown so far."""

    front: Front
    pid: int
    rate: float = 0.0
    throughputs: list[float] = field(default_factory=list)
    costs_us: list[float] = field(default_factory=list)
    errors: int = 0
    reports: list[Report] = field(default_factory=list)

    def summary(self, reference: "Measured") -> dict[str, Any]:
        """Return medians of all rounds, and ratios to a proxy measured beside it."""
        times = [
            ours / theirs for ours, theirs in zip(self.costs_us, reference.costs_us, strict=True)
        ]
        return {
            "proxy": self.front.name, "backend": self.front.backend, "era": self.front.era,
            "connections": self.front.connections,
            "calls/s": round(statistics.median(self.throughputs), 1),
            "CPU us/call": round(statistics.median(self.costs_us), 1),
            "CPU in nginx": round(statistics.median(times), 2),
            "open loop/s": self.rate, "p50 ms": self._percentile_ms(50),
            "p99 ms": self._percentile_ms(99),
            "checked calls": sum(report.calls for report in self.reports),
            "errors": self.errors + sum(sum(one.failures.values()) for one in self.reports),
        }  # fmt: skip

    def _percentile_ms(self, percent: float) -> float:
        """Return the median of all rounds: one that somebody disturbed does not count for all."""
        each = [report.ok.percentile_us(percent) for report in self.reports]
        return round(statistics.median(each) / 1000, 2)


def install() -> None:
    """Install what is missing.

    Raises:
        SystemExit: something must be installed by hand.
    """
    missing = [package for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", *missing], check=True, stdout=sys.stderr)
    elif missing:
        raise SystemExit(f"error: missing. hint: apt-get install {' '.join(missing)}")
    for name, packages in _ENVIRONMENTS.items():
        folder = PEERS / name
        stamp = folder / ".packages"
        if stamp.is_file() and stamp.read_text() == str(packages):
            continue
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", *packages]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        stamp.write_text(str(packages))


def script(plan: Plan) -> str:
    """Write the call that the generator would send as a script for wrk."""

    async def session() -> bytes | None:
        return await Endpoint(plan).open_session() if plan.era == LEGACY else None

    target = Endpoint(plan).target
    call = Messages(plan, target, asyncio.run(session())).write(FIRST)
    head, _, body = call.decode().partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    lines = [f'wrk.headers["{key}"] = "{value}"' for key, value in headers.items()
             if key != "Content-Length"]  # fmt: skip
    return "\n".join(['wrk.method = "POST"', f"wrk.body = [==[{body}]==]", *lines])


def flood(one: Measured, seconds: float) -> None:
    """Call as often as answers come, and note how often that is and what it costs."""
    plan = Plan(one.front.url, one.front.tool, TEXT, era=one.front.era)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script(plan))
        file.flush()
        before, began = cpu_seconds(one.pid, _CHILD), time.monotonic()
        connections = str(one.front.connections)
        command = ["wrk", "-t", "1", "-c", connections, "-d", f"{seconds:g}s", "--timeout", "30s",
                   "-s", file.name, one.front.url]  # fmt: skip
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        passed = time.monotonic() - began
        cost = cpu_seconds(one.pid, _CHILD) - before
    (calls,) = (int(found) for found in re.findall(r"(\d+) requests in", out))
    one.throughputs.append(calls / passed)
    one.costs_us.append(cost / max(calls, 1) * 1e6)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    one.errors += int(refused.group(1)) if refused else 0
    one.errors += sum(map(int, broken.groups())) if broken else 0


def pace(one: Measured, seconds: float) -> None:
    """Send at half of what it can do, and check every answer."""
    if not one.rate:
        one.rate = float(f"{min(one.throughputs[0] / 2, MOST_PER_S):.2g}")
    plan = Plan(one.front.url, one.front.tool, TEXT, one.rate, seconds, one.front.connections,
                timeout_s=30.0, era=one.front.era)  # fmt: skip
    one.reports.append(measure(plan))


def machine() -> Iterator[str]:
    """Say what all this ran on."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "unknown")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = platform.python_version()
    yield f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {python}"
    yield f"load average {load}"
    yield from (f"{name}: {' '.join(packages)}" for name, packages in _ENVIRONMENTS.items())
    for command in (["nginx", "-v"], ["haproxy", "-v"]):
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        yield (said.stdout + said.stderr).splitlines()[0]


def run(seconds: float, rounds: int, result: int) -> list[Measured]:
    """Measure all, in turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = stack.enter_context(echo_backend(result))
        all_of_them = [
            Measured(front, stack.enter_context(running(front.command, front.port, ROOT)))
            for front in fronts(folder, backend, result)
        ]
        time.sleep(3)  # the lists have been read
        for number in range(rounds):
            for one in all_of_them:
                flood(one, seconds)
                pace(one, seconds)
                print(f"round {number + 1} of {rounds}: {one.front.name}", file=sys.stderr)
    return all_of_them


def main() -> int:
    """Install, measure and print a table in Markdown; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--result", type=int, default=128, help="bytes of text in each result")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    install()
    before = list(machine())
    measured = run(options.seconds, options.rounds, options.result)
    rows = [one.summary(measured[0]) for one in measured]
    if options.json:
        print(json.dumps({"options": vars(options), "machine": before, "rows": rows,
                          "plan": asdict(Plan("URL", "echo", TEXT))}, indent=1))  # fmt: skip
        return 0
    print("\n".join(f"- {line}" for line in before))
    print(f"- load average at the end {', '.join(f'{value:.1f}' for value in os.getloadavg())}")
    print(
        f"- {options.rounds} rounds of {options.seconds:g} s, results of {options.result} bytes\n"
    )
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    return 1 if any(row["errors"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
