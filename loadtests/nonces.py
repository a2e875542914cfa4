"""Many clients whose ids are all alike, under cancellations, timeouts and killed workers.

Each call carries a nonce, and each answer must carry the nonce of the call that it answers:
`python -m loadtests.nonces --calls 1000000`. One wrong delivery, or an error that
nobody has provoked, ends the run with exit code 1.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests.echo_server import TIMEOUT_S
from loadtests.nonce_client import Client, Run
from tests.support.gateway import Gateway

CLIENTS, WORKERS = 64, 4
_REPORT_EVERY_S = 60.0
_ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def http_server(era: str) -> Iterator[dict[str, Any]]:
    """Run a server for the time of a block; yields its entry in the configuration."""
    command = [sys.executable, "-m", "loadtests.echo_server", era]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield {"id": era, "url": process.stdout.readline().strip()}
        finally:
            process.kill()


@contextlib.contextmanager
def stage(*, pure: bool = False) -> Iterator[Gateway]:
    """Run a gateway, of compiled or of pure twins, in front of one server of each kind."""
    stdio = {"id": "stdio", "command": sys.executable, "args": ["-m", "loadtests.echo_server",
             "stdio"], "cwd": str(_ROOT)}  # fmt: skip
    with http_server("legacy") as legacy, http_server("modern") as modern:
        config = {
            "proxy": {"timeout": f"{TIMEOUT_S}s"}, "servers": [stdio, legacy, modern],
            "stdio": {"allowed_commands": [sys.executable]},
        }  # fmt: skip
        with Gateway(config, workers=WORKERS, pure=pure) as gateway:
            yield gateway


async def _kill_workers(gateway: Gateway, run: Run, every_s: float) -> None:
    """Kill one worker after the other."""
    while True:
        await asyncio.sleep(every_s)
        workers = await asyncio.to_thread(
            lambda: [row for (role, _), row in gateway.processes().items() if role == "worker"]
        )
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(workers)["pid"], signal.SIGKILL)
                run.kills += 1


async def _report(run: Run) -> None:
    """Say now and then how far we are: the long form takes a quarter of an hour."""
    while True:
        await asyncio.sleep(_REPORT_EVERY_S)
        print(json.dumps(run.summary()), file=sys.stderr, flush=True)


async def load(gateway: Gateway, calls: int, kill_every_s: float) -> Run:
    """Make this many calls; returns the figures.

    Raises:
        ExceptionGroup: of `WrongDelivery`, or whatever else went wrong.
    """
    run = Run(calls)
    async with asyncio.TaskGroup() as group:
        killer = group.create_task(_kill_workers(gateway, run, kill_every_s))
        reporter = group.create_task(_report(run))
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(Client(number, gateway.port, run).run())
        for task in killer, reporter:
            task.cancel()
    return run


def main() -> int:
    """Run as the arguments say, print the figures, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--kill-every", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--pure", action="store_true", help="without the compiled twins")
    arguments = parser.parse_args()
    with stage(pure=arguments.pure) as gateway:
        run = asyncio.run(load(gateway, arguments.calls, arguments.kill_every))
    print(json.dumps(run.summary(), indent=1))
    return 1 if run.errors else 0


if __name__ == "__main__":
    sys.exit(main())
