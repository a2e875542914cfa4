"""What a proxied call costs beside nginx, in the same run: CPU of all processes per request.

Run as `python -m benchmarks.cost` with the development environment; needs wrk and nginx (Debian:
wrk, nginx-light). Gateway and nginx stand in front of the same backend and take turns. CPU per
request moves far less with a noisy machine than requests per second do, and the ratio of two moves
less still.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from only1mcp.transports.stdio import descendants

MODERN = "2026-07-28"
HEADERS = {
    "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": MODERN,
}  # fmt: skip
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; client_body_buffer_size 1m;
  proxy_buffers 32 16k; proxy_max_temp_file_size 0;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256;
    keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://backend;
    proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""


@dataclass(slots=True)
class Target:
    """What stands in front of the backend."""

    name: str
    pid: int
    port: int
    tool: str
    costs_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Run a program until the end of the block; it listens on the port when the block begins."""
    environment = {**os.environ, "ONLY1MCP_RUNTIME_DIR": tempfile.mkdtemp(prefix="o1-")}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of all that live below it."""
    ticks = 0
    for each in (pid, *descendants(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(target: Target, seconds: int, connections: int, arguments: int) -> None:
    """Send calls for some seconds, and note what each cost the target."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": target.tool, "arguments": {"text": "x" * arguments}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
    headers = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": target.tool}
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
    backend, nginx, gateway = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, backend=backend, port=nginx))
        servers = [{"id": "bench", "url": f"http://127.0.0.1:{backend}/mcp"}]
        (folder / "only1mcp.json").write_text(json.dumps({"version": "1.0", "servers": servers}))
        python = [sys.executable, "-m"]
        echo = [*python, "benchmarks.echo_backend", str(backend), str(options.result)]
        stack.enter_context(running(echo, backend))
        plain = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        ours = [*python, "only1mcp", "start", "--config", str(folder / "only1mcp.json"),
                "--port", str(gateway), "--workers", "1"]  # fmt: skip
        targets = [
            Target("nginx", stack.enter_context(running(plain, nginx)), nginx, "echo"),
            Target("only1mcp", stack.enter_context(running(ours, gateway)), gateway, "bench__echo"),
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
