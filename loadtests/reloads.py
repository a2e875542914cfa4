"""The configuration changes again and again under load: how long until it is served, what fails.

`python -m loadtests.reloads --times 100 --pause 1` writes the file, each time under another prefix
for one server, and measures from the write until every connection is served under the new name; it
prints p50, p99 and the longest. It ends with exit code 1 when any call of the load failed. Without
a pause it reloads as fast as it is served. The load comes from processes of its own, which take
nothing of the measurement's time but what the machine has not.

`--cold` ends the process that reads the configuration before each change, as two quiet minutes do;
`--open-before 1` opens the file a second before it is changed, as an editor does.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from only1mcp.transports.stdio import descendants
from tests.support.callers import Callers
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient, said
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

WORKERS, CLIENTS = 2, 6
_POLL_S = 0.001
_READER = b"only1mcp.config.reader"


def _unserved(clients: list[McpClient], tool: str) -> list[McpClient]:
    """Call once on each connection, all at the same time; return those that have no answer."""
    for client in clients:
        client.send("tools/call", name=tool, arguments={"text": "x"})
    return [client for client in clients if not _is_served(client)]


def _is_served(client: McpClient) -> bool:
    try:
        return said(*client.receive()) == "x"
    except CallFailed:
        return False


@contextlib.contextmanager
def _clients(port: int) -> Iterator[list[McpClient]]:
    """Open several connections, so that every worker has some."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(McpClient(port)) for _ in range(CLIENTS)]


def _readers(gateway: Gateway) -> list[int]:
    """Return who reads configurations."""
    found = []
    for pid in descendants(gateway.pid):
        with contextlib.suppress(OSError):
            if _READER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _prepare(gateway: Gateway, options: argparse.Namespace) -> None:
    if options.cold:
        for pid in _readers(gateway):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _readers(gateway), "nobody reads configurations")
    if options.open_before:
        with (gateway.directory / "config.yaml").open():
            time.sleep(options.open_before)


def measure(
    gateway: Gateway, times: int, pause_s: float, options: argparse.Namespace, word: str = "p"
) -> list[float]:
    """Change the file so often; return the milliseconds that each change took to be served."""
    took = []
    with _clients(gateway.port) as clients:
        for number in range(times):
            time.sleep(pause_s)
            _prepare(gateway, options)
            tool = f"{word}{number}__echo"
            text = json.dumps(_config(options.servers, f"{word}{number}"))
            began = time.perf_counter()
            gateway.configure(text)
            waiting = clients
            while waiting := _unserved(waiting, tool):
                time.sleep(_POLL_S)  # the machine is to reload, not to answer us
            took.append((time.perf_counter() - began) * 1e3)
    return took


def _config(servers: int, prefix: str) -> dict[str, Any]:
    """Declare two servers that run, and others that are only read."""
    others = [
        {"id": f"off{number}", "url": f"http://127.0.0.1:9/{number}/mcp", "enabled": False}
        for number in range(servers)
    ]
    return zoo(animal("kept", "tame"), animal("moving", "tame", prefix=prefix), *others)


def _call(port: int, told: Connection) -> None:
    """Be a process of the load, until told to end; then tell how it went."""
    with Callers(port, "kept__echo") as callers:
        told.send("begun")
        told.recv()
    told.send((callers.answered, [str(failure) for failure in callers.failures]))


@contextlib.contextmanager
def _load(port: int, processes: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Call all the time; what came of it is in the list when the block has ended."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(processes)]
    running = [context.Process(target=_call, args=(port, end), daemon=True) for _, end in pipes]
    ended: list[tuple[int, list[str]]] = []
    try:
        for process in running:
            process.start()
        for ours, _ in pipes:
            ours.recv()
        yield ended
        for ours, _ in pipes:
            ours.send("end")
            ended.append(ours.recv())
    finally:
        for process in running:
            process.kill()
            process.join()


def main() -> None:
    """Run, print the figures, and fail for any failed call."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=100)
    options.add_argument("--pause", type=float, default=0.0, help="seconds between two changes")
    options.add_argument("--warm-up", type=int, default=5, help="changes that are not counted")
    options.add_argument("--load", type=int, default=1, help="processes of eight clients that call")
    options.add_argument("--servers", type=int, default=0, help="more of them in the file")
    options.add_argument("--cold", action="store_true", help="nobody has read the file of late")
    options.add_argument("--open-before", type=float, default=0.0, metavar="SECONDS")
    asked = options.parse_args()
    with Gateway(_config(asked.servers, "moving"), workers=WORKERS, wait_for=("kept",)) as gateway:
        with _load(gateway.port, asked.load) as load:
            measure(gateway, asked.warm_up, 0.5, asked, "w")
            took = sorted(measure(gateway, asked.times, asked.pause, asked))
        log = gateway.log
    p50, p99 = (took[min(int(len(took) * part), len(took) - 1)] for part in (0.5, 0.99))
    own = [float(found) for found in re.findall(r'"took_ms":([0-9.]+)', log)][asked.warm_up :]
    print(f"of that, from the first read to the last process: p50 {sorted(own)[len(own) // 2]} ms")
    failures = [failure for _, failed in load for failure in failed]
    print(
        f"{asked.times} reloads: served after p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"at most {took[-1]:.1f} ms; {sum(answered for answered, _ in load)} calls under load, "
        f"{len(failures)} failed"
    )
    for failure in failures[:10]:
        print(failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
