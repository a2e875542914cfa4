"""What a proxied call costs beside nginx, in the same run: CPU of all processes per request.

Run as `python -m benchmarks.cost` with the development environment; needs wrk and nginx (Debian:
wrk, nginx-light). Gateway and nginx stand in front of the same backend and take turns. CPU per
request moves far less with a noisy machine than requests per second do, and the ratio of two moves
less still.
"""

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stage import NGINX, PYTHON, cpu_seconds, echo_backend, free_port, running

MODERN = "2026-07-28"
HEADERS = {
    "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": MODERN,
}  # fmt: skip
KEY = "o1_benchmark-0123456789abcdefghijklmnopqrstuv"
GUARDED = {"auth": {"keys": [{
    "id": "bench", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}",
    "servers": ["bench"], "tools": ["bench__e*"],
    "rate_limit": {"requests": 1_000_000_000, "per": "1s"},
}]}}  # fmt: skip
"""A key, an allow-list and a rate that is never reached."""


@dataclass(slots=True)
class Target:
    """What stands in front of the backend."""

    name: str
    pid: int
    port: int
    tool: str
    headers: dict[str, str] = field(default_factory=dict)
    """What it wants besides."""
    costs_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def load(target: Target, seconds: int, connections: int, arguments: int) -> None:
    """Send calls for some seconds, and note what each cost the target."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": target.tool, "arguments": {"text": "x" * arguments}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
    headers = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": target.tool,
               **target.headers}  # fmt: skip
    script = f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n' + "".join(
        f'wrk.headers["{key}"] = "{value}"\n' for key, value in headers.items()
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        before = cpu_seconds(target.pid)
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file.name,
             f"http://127.0.0.1:{target.port}/mcp"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"error: {target.name} did not answer all calls:\n{out}")
    (requests,) = re.findall(r"(\d+) requests in", out)
    target.costs_us.append((cpu_seconds(target.pid) - before) / int(requests) * 1e6)
    target.rates.append(int(requests) / seconds)


def main() -> None:
    """Measure, and print one line for each target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--result", type=int, default=128, help="bytes of text in each result")
    parser.add_argument("--arguments", type=int, default=32, help="bytes of text in each call")
    options = parser.parse_args()
    nginx, gateway, guarded = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = stack.enter_context(echo_backend(options.result))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, backend=backend, port=nginx))
        servers = [{"id": "bench", "url": f"http://127.0.0.1:{backend}/mcp"}]
        (folder / "only1mcp.json").write_text(json.dumps({"version": "1.0", "servers": servers}))
        plain = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        (folder / "guarded.json").write_text(json.dumps({"servers": servers, **GUARDED}))
        ours, closed = (
            [*PYTHON, "only1mcp", "start", "--config", str(folder / name), "--port", str(port),
             "--workers", "1"]
            for name, port in (("only1mcp.json", gateway), ("guarded.json", guarded))
        )  # fmt: skip
        targets = [
            Target("nginx", stack.enter_context(running(plain, nginx)), nginx, "echo"),
            Target("only1mcp", stack.enter_context(running(ours, gateway)), gateway, "bench__echo"),
            Target(
                "with keys",
                stack.enter_context(running(closed, guarded)),
                guarded,
                "bench__echo",
                {"Authorization": f"Bearer {KEY}"},
            ),
        ]
        time.sleep(2)  # the lists have been read
        for _ in range(options.rounds):
            for target in targets:
                load(target, options.seconds, options.connections, options.arguments)
    baseline = statistics.median(targets[0].costs_us)
    for target in targets:
        cost = statistics.median(target.costs_us)
        rate = statistics.median(target.rates)
        ratio = cost / baseline
        print(f"{target.name:>10}: {rate:8.0f} calls/s  {cost:6.1f} us CPU/call  x{ratio:.2f}")


if __name__ == "__main__":
    main()
