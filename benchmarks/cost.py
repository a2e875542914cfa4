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
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
PIPE = "benchmarks.echo_stdio"
"""The stdio server, which is left out: nginx's backend is not counted, either."""
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@dataclass(slots=True)
class Target:
    """What stands in front of the backend."""

    name: str
    pid: int
    port: int
    tool: str
    headers: dict[str, str] = field(default_factory=dict)
    """What it wants besides."""
    differs: bool = False
    """Whether it gets no call twice."""
    costs_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


DIFFERING = """
local count = os.time() * 1000000
local at = wrk.body:find("xxxxxxxxxxxxxxxx", 1, true)
local before, after = wrk.body:sub(1, at - 1), wrk.body:sub(at + 16)
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, before .. string.format("%016d", count) .. after)
end
"""
"""Has wrk write a number into the arguments of each call, of the size of what it replaces."""


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
        file.write(script + (DIFFERING if target.differs else ""))
        file.flush()
        before = cpu_seconds(target.pid, leave_out=PIPE)
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file.name,
             f"http://127.0.0.1:{target.port}/mcp"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"error: {target.name} did not answer all calls:\n{out}")
    (requests,) = re.findall(r"(\d+) requests in", out)
    spent = cpu_seconds(target.pid, leave_out=PIPE) - before
    target.costs_us.append(spent / int(requests) * 1e6)
    target.rates.append(int(requests) / seconds)


def start_all(stack: ExitStack, size: int) -> list[Target]:
    """Start nginx and the gateways, each before a server whose results have this size."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    backend = stack.enter_context(echo_backend(size))
    old = stack.enter_context(echo_backend(size, "legacy"))
    web = {"id": "bench", "url": f"http://127.0.0.1:{backend}/mcp"}
    pipe = {"id": "bench", "command": sys.executable, "cwd": str(Path.cwd()),
            "args": ["-m", PIPE, str(size)]}  # fmt: skip
    kept = {"servers": [{**web, "cache": {"tools": {"echo": "1h"}}}],
            "proxy": {"cache": {"enabled": True}}}  # fmt: skip
    allowed = {"stdio": {"allowed_commands": [sys.executable]}}
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, backend=backend, port=port))
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    return [
        Target("nginx", stack.enter_context(running(command, port)), port, "echo"),
        start(stack, folder, "only1mcp", {"servers": [web]}),
        start(
            stack,
            folder,
            "translated",
            {"servers": [{"id": "bench", "url": f"http://127.0.0.1:{old}/mcp"}]},
        ),
        start(stack, folder, "with keys", {"servers": [web], **GUARDED}, AUTHORIZED),
        start(stack, folder, "cache hit", kept),
        replace(start(stack, folder, "cache miss", kept), differs=True),
        start(stack, folder, "on stdio", {"servers": [pipe], **allowed}),
    ]


def start(
    stack: ExitStack, folder: Path, name: str, config: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> Target:  # fmt: skip
    """Start a gateway."""
    file, port = folder / f"{name}.json", free_port()
    file.write_text(json.dumps(config))
    command = [*PYTHON, "only1mcp", "start", "--config", str(file), "--port", str(port),
               "--workers", "1"]  # fmt: skip
    pid = stack.enter_context(running(command, port))
    return Target(name, pid, port, "bench__echo", headers or {})


def main() -> None:
    """Measure, and print one line for each target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--result", type=int, default=128, help="bytes of text in each result")
    parser.add_argument("--arguments", type=int, default=32, help="bytes of text in each call")
    options = parser.parse_args()
    with ExitStack() as stack:
        targets = start_all(stack, options.result)
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
