"""`make load`: real clients' journeys before real servers, added latency, and a high rate.

Correctness decides the exit code: every answer must be the right one. How quick this machine was
stands in the table, and decides nothing.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stage import echo_backend
from only1mcp.benchmark.measure import measure
from only1mcp.benchmark.plan import Plan
from only1mcp.benchmark.report import Report
from tests.real.http_server import everything, python2
from tests.support.gateway import Gateway

_ROOT = Path(__file__).parents[1]
_TEXT = '{"text":"{nonce}"}'
_RESULT_BYTES = 128
_TIMEOUT_S = 120.0
"""So long that nothing fails only because the machine is slow."""


@dataclass(slots=True)
class Line:
    """One line of the table."""

    what: str
    calls: int
    failures: dict[str, int]
    wanted_per_s: float
    reached_per_s: float
    p50_ms: float
    p99_ms: float
    examples: dict[str, str] = field(default_factory=dict)


def line(what: str, wanted: float, rounds: list[Report]) -> Line:
    """Sum runs of the generator up: all of their calls, and the medians of their percentiles."""
    p50, p99 = (
        statistics.median(one.ok.percentile_us(percent) for one in rounds) / 1000
        for percent in (50, 99)
    )
    whole = Report()
    for one in rounds:
        whole.add(one)
    reached = statistics.median(one.ok_per_second for one in rounds)
    return Line(what, whole.calls, whole.failures, wanted, reached, p50, p99, whole.examples)


def journeys(seconds: int, target: int) -> Line:
    """Let locust's clients travel; returns one line for all of them."""
    with ExitStack() as stack:
        http, modern = stack.enter_context(everything()), stack.enter_context(python2())
        servers = [{"id": "everything", "url": http.url}, {"id": "python2", "url": modern.url}]
        # All clients keep their connections, and node answers them one after the other. More than
        # these servers can do is wanted, and to be waited for: a refusal is no answer here.
        proxy = {"timeout": "60s", "handshake_timeout": "30s", "limits": {"max_wait": "60s"}}
        config = {"proxy": proxy, "servers": servers}
        gateway = stack.enter_context(Gateway(config, workers=2))
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", "loadtests/journeys.py", "--headless",
             "--host", f"http://127.0.0.1:{gateway.port}", "--json", "--only-summary"],
            cwd=_ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "LOAD_SECONDS": str(seconds), "LOAD_TARGET": str(target)},
        )  # fmt: skip
    if not done.stdout:
        raise SystemExit(f"error: locust ended with code {done.returncode}:\n{done.stderr}")
    return _read_locust(json.loads(done.stdout), target)


def _read_locust(stats: list[dict[str, Any]], target: int) -> Line:
    calls = sum(row["num_requests"] for row in stats)
    failed = {row["name"]: row["num_failures"] for row in stats if row["num_failures"]}
    began = min(row["start_time"] for row in stats)
    ended = max(row["last_request_timestamp"] for row in stats)
    times: dict[float, int] = {}
    for row in stats:
        for time, count in row["response_times"].items():
            times[float(time)] = times.get(float(time), 0) + count
    p50, p99 = (_percentile(times, percent) for percent in (0.5, 0.99))
    reached = calls / max(ended - began, 1e-9)
    return Line("locust journeys, real servers", calls, failed, target, reached, p50, p99)


def _percentile(times: dict[float, int], part: float) -> float:
    wanted, passed = part * sum(times.values()), 0
    for time, count in sorted(times.items()):
        passed += count
        if passed >= wanted:
            return time
    return 0.0


def open_loop(rate: float, seconds: float, workers: int, rounds: int) -> list[Line]:
    """Send at a fixed rate, in turns directly to the backend and through the gateway.

    Of each round the percentiles are taken, and of those the medians: others may have the machine
    for a moment, in which a tenth of a second spoils one percent of ten.
    """
    with echo_backend(_RESULT_BYTES) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        with Gateway({"servers": [{"id": "echo", "url": url}]}, workers=workers) as gateway:
            direct: list[Report] = []
            through: list[Report] = []
            for _ in range(rounds):
                for reports, target, tool in (
                    (direct, url, "echo"),
                    (through, gateway.url, "echo__echo"),
                ):
                    plan = Plan(target, tool, _TEXT, rate, seconds / rounds, timeout_s=_TIMEOUT_S)
                    reports.append(measure(plan))
    name = f"open loop, {workers} worker" + "s" * (workers > 1)
    return [line(f"{name}: direct", rate, direct), line(f"{name}: gateway", rate, through)]


def show(lines: list[Line]) -> None:
    """Print the table, and how calls failed."""
    heads = ("calls", "failed", "wanted/s", "reached/s", "p50 ms", "p99 ms")
    print(f"{'':34}" + "".join(f"{head:>10}" for head in heads))
    for row in lines:
        print(
            f"{row.what:34}{row.calls:10}{sum(row.failures.values()):10}{row.wanted_per_s:10.0f}"
            f"{row.reached_per_s:10.0f}{row.p50_ms:10.3f}{row.p99_ms:10.3f}"
        )
    for direct, through in itertools.pairwise(lines):
        if through.what.endswith(": gateway"):
            print(f"{through.what} adds {through.p50_ms - direct.p50_ms:.3f} ms at p50, "
                  f"{through.p99_ms - direct.p99_ms:.3f} ms at p99")  # fmt: skip
    for row in lines:
        for kind, count in row.failures.items():
            print(f"FAILED {row.what}: {count} x {kind} {row.examples.get(kind, '')}")


def main() -> int:
    """Run the three parts; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=24, help="of each part")
    parser.add_argument("--journeys-target", type=int, default=10_000, metavar="REQUESTS_PER_S")
    parser.add_argument("--skip-journeys", action="store_true", help="needs no real servers then")
    options = parser.parse_args()
    lines = [] if options.skip_journeys else [journeys(options.seconds, options.journeys_target)]
    lines += open_loop(2_000, options.seconds, workers=1, rounds=8)
    lines += open_loop(10_000, options.seconds, workers=2, rounds=8)
    show(lines)
    return 1 if any(row.failures or not row.calls for row in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
