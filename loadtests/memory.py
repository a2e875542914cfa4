"""What the gateway holds in memory, process by process, at its start and after many calls.

`python -m loadtests.memory --calls 100000 --servers 10 --workers 1` prints the proportional set
size (PSS): a page that several processes share counts for each of them in part. Other programs on
the machine that use the same Python and the same libraries take parts as well, so the sum is less
the more of them run; `alone` is what it would be without any. `--within 86` makes the exit code 1
when the tree alone holds more MiB than that after the calls. `--bare aiohttp,orjson` measures
instead what as many processes hold that have these libraries and nothing of ours.
"""

import argparse
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import PYTHON, free_port, running
from only1mcp.benchmark.measure import measure
from only1mcp.benchmark.plan import LEGACY, MODERN, Plan
from tests.support.gateway import Gateway

_KINDS = ("Pss", "Private_Dirty", "Shared_Dirty", "Shared_Clean", "Rss")
_FIELD = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ (\w+ \S+ \d+) *(.*)$", re.MULTILINE)
_RESULT_BYTES = 128
_START_S = 5.0
"""What belongs to the start alone is over by then."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds, in KiB."""

    role: str
    sizes: dict[str, int]
    own: int
    """Its part of what belongs to no file."""
    files: dict[str, int]
    """Of each mapping of a file, how much is there as it stands in the file."""


def held_by(role: str, pid: int) -> Held:
    """Look at one process."""
    whole = _sizes(Path(f"/proc/{pid}/smaps_rollup").read_text())
    _, *parts = _MAPPING.split(Path(f"/proc/{pid}/smaps").read_text())
    files = {
        f"{name} {place}": _sizes(text)
        for place, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        if not place.endswith(" 0")
    }
    unchanged = {name: sizes["Rss"] - sizes["Anonymous"] for name, sizes in files.items()}
    return Held(role, {kind: whole[kind] for kind in _KINDS}, whole["Pss_Anon"], unchanged)


def _sizes(text: str) -> dict[str, int]:
    return {name: int(kib) for name, kib in _FIELD.findall(text)}


def tree(gateway: Gateway) -> list[Held]:
    """Look at every process of ours."""
    return [held_by(row["role"], row["pid"]) for row in gateway.status()["processes"]]


def alone(held: Iterable[Held]) -> int:
    """Return the KiB that these processes would hold if nobody else had their files open."""
    most: dict[str, int] = defaultdict(int)
    own = 0
    for one in held:
        own += one.own
        for file, kib in one.files.items():
            most[file] = max(most[file], kib)
    return own + sum(most.values())


def show(what: str, held: Sequence[Held]) -> None:
    """Print one table, in MiB."""
    print(f"{what:14}" + "".join(f"{kind:>14}" for kind in _KINDS))
    for one in held:
        print(f"  {one.role:12}" + "".join(f"{one.sizes[kind] / 1024:14.1f}" for kind in _KINDS))
    pss = sum(one.sizes["Pss"] for one in held) / 1024
    print(f"  {'together':12}{pss:14.1f}   alone {alone(held) / 1024:.1f}", flush=True)


@contextmanager
def backends(count: int) -> Iterator[list[int]]:
    """Run servers over HTTP, all in one process, which shares its libraries with ours."""
    ports = [free_port() for _ in range(count)]
    listed = ",".join(map(str, ports))
    command = [*PYTHON, "benchmarks.echo_backend", listed, str(_RESULT_BYTES)]
    with running(command, ports[-1]):
        yield ports


def call(gateway: Gateway, calls: int, rate: float) -> None:
    """Send calls as clients of either era; each must be answered rightly."""
    for era in (MODERN, LEGACY):
        plan = Plan(
            gateway.url, "s0__echo", '{"text":"{nonce}"}', rate, calls / 2 / rate,
            connections=64, max_connections=64, timeout_s=60.0, era=era,
        )  # fmt: skip
        report = measure(plan)
        if report.failures:
            raise SystemExit(f"error: calls failed: {report.failures} {report.examples}")


def bare(processes: int, modules: Sequence[str]) -> list[Held]:
    """Look at a tree that has these libraries, an event loop in each process, and no gateway."""
    command = [*PYTHON, "loadtests.bare_tree", str(processes), *modules]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as trial:
        assert trial.stdout is not None
        pids = [int(trial.stdout.readline()) for _ in range(processes)]
        return [held_by("parent" if pid == trial.pid else "child", pid) for pid in sorted(pids)]


def main() -> int:
    """Run as the arguments say, print the figures, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=5000.0, help="calls a second")
    parser.add_argument("--servers", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--within", type=float, metavar="MIB", help="fail beyond, alone")
    parser.add_argument("--bare", metavar="MODULES", help="measure these libraries alone")
    parser.add_argument("--processes", type=int, default=4, help="for --bare")
    options = parser.parse_args()
    if options.bare:
        show("bare", bare(options.processes, options.bare.split(",")))
        return 0
    with backends(options.servers) as ports:
        servers = [
            {"id": f"s{number}", "url": f"http://127.0.0.1:{port}/mcp"}
            for number, port in enumerate(ports)
        ]
        with Gateway({"servers": servers}, workers=options.workers) as gateway:
            time.sleep(_START_S)
            show("at the start", tree(gateway))
            call(gateway, options.calls, options.rate)
            after = tree(gateway)
            show(f"{options.calls} calls", after)
    return 1 if options.within and alone(after) > options.within * 1024 else 0


if __name__ == "__main__":
    sys.exit(main())
