"""The proxies that are compared, each with the settings that suit it: keep-alive, one worker."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import NGINX, PYTHON, free_port
from only1mcp.benchmark.plan import LEGACY, MODERN

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".peers"
MANY, FEW = 64, 8
"""Connections: what compiled proxies need to be busy, and what Python proxies answer in time."""
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server echo 127.0.0.1:{backend} pool-max-conn -1
"""


@dataclass(frozen=True, slots=True)
class Front:
    """One proxy in front of the backend."""

    name: str
    backend: str
    """`http` or `stdio`."""
    command: list[str]
    port: int
    tool: str = "echo"
    era: str = MODERN
    connections: int = MANY

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"


def fronts(folder: Path, backend: int, result: int) -> Iterator[Front]:
    """Yield all of them, nginx first; their configuration is written into the folder."""
    port = free_port()
    nginx = folder / "nginx.conf"
    nginx.write_text(NGINX.format(folder=folder, backend=backend, port=port))
    yield Front("nginx", "http", ["nginx", "-c", str(nginx), "-p", str(folder)], port)
    port = free_port()
    haproxy = folder / "haproxy.cfg"
    haproxy.write_text(HAPROXY.format(backend=backend, port=port))
    yield Front("haproxy", "http", ["haproxy", "-db", "-f", str(haproxy)], port)
    url = f"http://127.0.0.1:{backend}/mcp"
    yield _ours(folder, "http", {"id": "bench", "url": url})
    port = free_port()
    # It is quicker with legacy clients than with modern ones, so it gets those.
    fastmcp = [str(PEERS / "fastmcp/bin/fastmcp"), "run", url, "--transport", "http", "--host",
               "127.0.0.1", "--port", str(port), "--no-banner", "--log-level", "ERROR"]  # fmt: skip
    yield Front("FastMCP", "http", fastmcp, port, era=LEGACY, connections=FEW)
    echo = ["-m", "benchmarks.echo_stdio", str(result)]
    stdio = {"id": "bench", "command": sys.executable, "args": echo, "cwd": str(ROOT)}
    yield _ours(folder, "stdio", stdio)
    port = free_port()
    # Its only kind of server is a program; it speaks the legacy era.
    mcp_proxy = [str(PEERS / "mcp-proxy/bin/mcp-proxy"), "--log-level", "ERROR", "--host",
                 "127.0.0.1", "--port", str(port), "--cwd", str(ROOT), "--",
                 sys.executable, *echo]  # fmt: skip
    yield Front("mcp-proxy", "stdio", mcp_proxy, port, era=LEGACY, connections=FEW)


def _ours(folder: Path, backend: str, server: Mapping[str, object]) -> Front:
    port = free_port()
    config = folder / f"only1mcp-{backend}.json"
    allowed = {"allowed_commands": [sys.executable]}
    config.write_text(json.dumps({"servers": [server], "stdio": allowed}))
    command = [*PYTHON, "only1mcp", "start", "--config", str(config), "--port", str(port),
               "--workers", "1"]  # fmt: skip
    return Front("Only1MCP", backend, command, port, "bench__echo")
