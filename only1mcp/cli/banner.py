"""What `start` says once the gateway serves."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from only1mcp import __version__
from only1mcp._speedups import ACCEL
from only1mcp.cli.gateway import control_get
from only1mcp.cli.output import Failure, say
from only1mcp.config.discovery import find
from only1mcp.ingress.origin import bracketed
from only1mcp.process.context import Shared

_WAIT_S = 6.0


def announce(shared: Shared) -> int:
    """Say where the gateway is and, from a child of the moment, what it serves.

    Returns the pid of that child; it ends by itself.
    """
    settings = shared.settings
    took_s = (time.monotonic_ns() - shared.started_ns) / 1e9
    what = _demonstration() if settings.demo else settings.source
    base = f"http://{bracketed(settings.host)}:{shared.port}"
    say(
        f"only1mcp {__version__}  accel={ACCEL}  workers={settings.workers}  pid {os.getpid()}"
        f"  ({what})\n"
        f"  MCP      {base}/mcp\n"
        f"  Health   {base}/health      metrics {base}/metrics\n"
        f"Ready in {took_s:.1f} s. Ctrl-C to stop."
    )
    pid = os.fork()
    if pid == 0:
        try:
            _tell_servers(shared)
        finally:
            os._exit(0)
    return pid


def _demonstration() -> str:
    found = find(os.environ)
    return (
        f"demonstration: {found} is not used" if found else "demonstration: no configuration found"
    )


def _settled_servers(shared: Shared) -> list[dict[str, object]]:
    """Wait until each server has answered or failed; return what is known by then."""
    deadline, gateway = time.monotonic() + _WAIT_S, os.getppid()
    servers: list[dict[str, object]] = []
    while time.monotonic() < deadline and os.getppid() == gateway:
        with contextlib.suppress(Failure):
            servers = control_get("servers", shared.runtime_dir.control_socket)["servers"]
            if all(server["state"] != "starting" for server in servers):
                break
        threading.Event().wait(0.1)
    return servers


def _tell_servers(shared: Shared) -> None:
    """List the servers, and for the demonstration say what to do with them."""
    lines = [_line(server) for server in _settled_servers(shared)]
    if shared.settings.demo:
        found = find(os.environ)
        port = "" if shared.port == 8080 else f" --port {shared.port}"
        lines += [
            f"  Try      only1mcp tools list{port}",
            f"           only1mcp tools call demo-time__now{port}",
            # Where there is a configuration this line would have it overwritten.
            f"  Next     only1mcp {'start' if found else 'init > only1mcp.yaml, then start again'}",
        ]
    say("\n".join(lines))


def _line(server: Mapping[str, Any]) -> str:
    """Say how one server is."""
    count = server.get("tools", 0)
    tools = "1 tool" if count == 1 else f"{count} tools"
    said = f"   {str(server['detail'])[:100]}" if server["detail"] else ""
    return f"  {server['id']:<20} {server['state']:<9} {tools}{said}"
