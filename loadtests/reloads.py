"""The configuration changes again and again under load: how long until it is served, what fails.

`python -m loadtests.reloads --times 100 --pause 1` writes the file, each time under another prefix
for one server, and measures from the write until every connection is served under the new name; it
prints p50, p99 and the longest. It ends with exit code 1 when any call of the load failed. Without
a pause it reloads as fast as it is served.
"""

import argparse
import contextlib
import re
import sys
import time
from collections.abc import Iterator

from tests.support.callers import Callers
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.zoo import animal, zoo

WORKERS, CLIENTS = 2, 6


def _served(client: McpClient, tool: str) -> bool:
    try:
        return client.call(tool, text="x") == "x"
    except CallFailed:
        return False


@contextlib.contextmanager
def _clients(port: int) -> Iterator[list[McpClient]]:
    """Open several connections, so that every worker has some."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(McpClient(port)) for _ in range(CLIENTS)]


def measure(gateway: Gateway, times: int, pause_s: float, word: str = "p") -> list[float]:
    """Change the file so often; return the milliseconds that each change took to be served."""
    took = []
    with _clients(gateway.port) as clients:
        for number in range(times):
            time.sleep(pause_s)
            renamed = animal("moving", "tame", prefix=f"{word}{number}")
            began = time.perf_counter()
            gateway.configure(zoo(animal("kept", "tame"), renamed))
            for client in clients:
                while not _served(client, f"{word}{number}__echo"):
                    pass
            took.append((time.perf_counter() - began) * 1e3)
    return took


def main() -> None:
    """Run, print the figures, and fail for any failed call."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=100)
    options.add_argument("--pause", type=float, default=0.0, help="seconds between two changes")
    options.add_argument("--warm-up", type=int, default=5, help="changes that are not counted")
    options.add_argument("--load", type=int, default=1, help="eights of clients that call")
    asked = options.parse_args()
    config = zoo(animal("kept", "tame"), animal("moving", "tame"))
    with contextlib.ExitStack() as outer:
        gateway = outer.enter_context(Gateway(config, workers=WORKERS))
        stack = outer.enter_context(contextlib.ExitStack())
        callers = [
            stack.enter_context(Callers(gateway.port, "kept__echo")) for _ in range(asked.load)
        ]
        measure(gateway, asked.warm_up, 0.5, "w")
        took = sorted(measure(gateway, asked.times, asked.pause))
        stack.close()
        log = gateway.log
    failures = [failure for each in callers for failure in each.failures]
    p50, p99 = (took[min(int(len(took) * part), len(took) - 1)] for part in (0.5, 0.99))
    own = [float(found) for found in re.findall(r'"took_ms":([0-9.]+)', log)][asked.warm_up :]
    print(f"of that, from the first read to the last process: p50 {sorted(own)[len(own) // 2]} ms")
    print(
        f"{asked.times} reloads: served after p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"at most {took[-1]:.1f} ms; {sum(each.answered for each in callers)} calls under load, "
        f"{len(failures)} failed"
    )
    for failure in failures[:10]:
        print(failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
