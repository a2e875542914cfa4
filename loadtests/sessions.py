"""Very many sessions are opened and nobody keeps them: the gateway's memory stays where it was.

`python -m loadtests.sessions --calls 100000 --warm-up 5000 --within 8` ends with exit code 1 when
the workers, the host and the control process together hold more MiB more than that.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from loadtests.line import line
from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY

LINES, WORKERS = 32, 4
_ROLES = ("worker", "host", "control")
_PARAMS = {
    "protocolVersion": LEGACY, "capabilities": {"elicitation": {}},
    "clientInfo": {"name": "sessions", "version": "1"},
}  # fmt: skip


async def _open_sessions(port: int, numbers: Iterator[int]) -> None:
    async with line(port) as mine:
        for number in numbers:
            body = {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": _PARAMS}
            await mine.send(HEADERS, body)
            answer = await mine.only()
            if answer is None or answer.get("id") != number or "result" not in answer:
                raise RuntimeError(f"initialize {number} was answered by {answer}")


async def open_sessions(port: int, count: int) -> None:
    """Send this many `initialize` requests, over several connections at once."""
    numbers = iter(range(count))
    async with asyncio.TaskGroup() as group:
        for _ in range(LINES):
            group.create_task(_open_sessions(port, numbers))


def held_kib(gateway: Gateway) -> dict[str, int]:
    """Return the memory of each role's processes, with what they share.

    A share of it would grow whenever another process ends, or makes a page its own.
    """
    return {role: sum(_rss_kib(pid) for pid in gateway.pids(role)) for role in _ROLES}


def _rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


async def growth_kib(gateway: Gateway, warm_up: int, calls: int) -> dict[str, int]:
    """Return by how much each role's processes have grown over the calls."""
    await open_sessions(gateway.port, warm_up)
    before = held_kib(gateway)
    await open_sessions(gateway.port, calls)
    return {role: held - before[role] for role, held in held_kib(gateway).items()}


def main() -> int:
    """Run as the arguments say, print the figures, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--warm-up", type=int, default=5000)
    parser.add_argument("--within", type=int, default=8, metavar="MIB")
    arguments = parser.parse_args()
    with Gateway(None, workers=WORKERS) as gateway:
        grown = asyncio.run(growth_kib(gateway, arguments.warm_up, arguments.calls))
    print(json.dumps({"calls": arguments.calls, "growth in KiB": grown}))
    return 1 if sum(grown.values()) > arguments.within * 1024 else 0


if __name__ == "__main__":
    sys.exit(main())
