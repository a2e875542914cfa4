"""How long a start takes: until it listens, and until it serves.

`python -m loadtests.startup --times 20` starts the gateway before ten servers, again and again, and
prints the milliseconds from the command to each, beside those that an interpreter alone takes for
the imports. It prints, and judges nothing: time is the machine's.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.stage import PYTHON, free_port
from loadtests.memory import backends

_IMPORTS = "import only1mcp.cli.main, only1mcp.cli.lifecycle, only1mcp.supervisor.supervisor"
_LONGEST_S = 30.0
_LOOK_S = 0.002


def _until(begun: float, done: Callable[[], bool]) -> float:
    """Return after how many milliseconds something is so."""
    while not done():
        if time.perf_counter() - begun > _LONGEST_S:
            raise SystemExit("error: the gateway does not start")
        time.sleep(_LOOK_S)
    return (time.perf_counter() - begun) * 1e3


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


def start(config: Path) -> dict[str, float]:
    """Start the gateway once; return the milliseconds until it listens and until it serves."""
    port = free_port()
    environment = {**os.environ, "ONLY1MCP_RUNTIME_DIR": str(config.parent / "run"),
                   "ONLY1MCP_HOME": str(config.parent)}  # fmt: skip
    command = [*PYTHON, "only1mcp", "start", "--config", str(config), "--port", str(port),
               "--workers", "1"]  # fmt: skip
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return {
            "listening": _until(begun, lambda: _listens(port)),
            "serving": _until(begun, lambda: _serves(port)),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def imports() -> float:
    """Return the milliseconds of an interpreter that imports what the gateway does, and ends."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    took: dict[str, list[float]] = {"imports": [], "listening": [], "serving": []}
    with tempfile.TemporaryDirectory(prefix="o1-") as folder, backends(10) as ports:
        servers = [
            {"id": f"s{number}", "url": f"http://127.0.0.1:{port}/mcp"}
            for number, port in enumerate(ports)
        ]
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"servers": servers}))
        for _ in range(times):
            took["imports"].append(imports())
            for what, milliseconds in start(config).items():
                took[what].append(milliseconds)
    for what, all_of_them in took.items():
        print(f"{what:>10}: median {statistics.median(all_of_them):6.0f} ms, "
              f"from {min(all_of_them):.0f} to {max(all_of_them):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
