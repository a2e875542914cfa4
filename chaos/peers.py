"""The gateway, and proxies of Debian that have the same servers behind them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import free_port, running
from chaos.load import Load, load
from only1mcp.transports.stdio import descendants
from tests.support.gateway import Gateway
from tests.support.zoo import zoo

_NGINX = """
worker_processes 2; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; client_header_timeout 10s; client_body_timeout 10s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout {timeout}s;
  {upstreams}
  server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }} }}
"""
_HAPROXY = """
global
  nbthread 2
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout http-request 10s
  timeout server {timeout}s
  timeout queue 100ms
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  {rules}
{backends}
"""


class Missing(Exception):
    """A program is not installed."""


def install(program: str, package: str = "") -> None:
    """Have a program of Debian installed.

    Raises:
        Missing: it is not there, and cannot be installed from here.
    """
    if shutil.which(program) is not None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-q", package or program]
        subprocess.run(command, check=False, stdout=sys.stderr)
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed. hint: apt-get install {package or program}")


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy that runs, in front of `web` and perhaps another server."""

    name: str
    port: int
    pid: int
    reload: Callable[[], None]
    page: str = "/page"
    """Where something stands that takes a client with a small window many reads."""
    tools: bool = False
    """Whether servers are told apart by names of tools; else by paths."""

    def load(self, server: str, **how: float) -> AbstractContextManager[Load]:
        """Call one of the servers."""
        path, tool = ("/mcp", f"{server}__echo") if self.tools else (f"/{server}/mcp", "echo")
        return load(f"http://127.0.0.1:{self.port}{path}", tool, **how)  # type: ignore[arg-type]

    def target(self, kind: str) -> str:
        """Return what slow clients ask for, of this kind: those that read want much to read."""
        return self.page if kind == "reads" else "/web/mcp"

    def workers(self) -> list[int]:
        """Return the processes that serve clients."""
        below = descendants(self.pid)
        if not self.tools:
            return below
        return [pid for pid in below if _name(pid).startswith("only1mcp:w")]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()


@contextmanager
def nginx(servers: dict[str, int], wrapper: tuple[str, ...], timeout: float) -> Iterator[Peer]:
    """Run nginx."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        _write_page(Path(folder))
        file = Path(folder) / "nginx.conf"
        file.write_text(_NGINX.format(
            folder=folder, port=port, timeout=timeout, connections=512 if wrapper else 8192,
            upstreams=" ".join(
                f"upstream {name} {{ server 127.0.0.1:{at} max_conns=256; keepalive 256; "
                "keepalive_requests 1000000000; }" for name, at in servers.items()
            ),
            locations=" ".join([
                f"location = /page {{ root {folder}; }}",
                *(f"location /{name}/ {{ proxy_pass http://{name}/; }}" for name in servers),
            ]),
        ))  # fmt: skip
        command = [*wrapper, "nginx", "-c", str(file), "-p", folder]
        with running(command, port) as pid:
            yield Peer("nginx", port, pid, lambda: os.kill(pid, signal.SIGHUP))


@contextmanager
def haproxy(servers: dict[str, int], wrapper: tuple[str, ...], timeout: float) -> Iterator[Peer]:
    """Run haproxy as a master with its worker, which is how it reloads."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        page = _write_page(Path(folder))
        file = Path(folder) / "haproxy.cfg"
        file.write_text(_HAPROXY.format(
            port=port, timeout=timeout, connections=100 if wrapper else 9000,
            rules="\n  ".join([
                f"http-request return status 200 content-type text/plain file {page} "
                "if { path /page }",
                *(f"use_backend {name} if {{ path_beg /{name}/ }}" for name in servers),
            ]),
            backends="\n".join(
                f"backend {name}\n  http-request replace-path /{name}(/.*) \\1\n"
                f"  server one 127.0.0.1:{at} maxconn 256 pool-max-conn -1"
                for name, at in servers.items()
            ),
        ))  # fmt: skip
        with running([*wrapper, "haproxy", "-Ws", "-f", str(file)], port) as pid:
            yield Peer("haproxy", port, pid, lambda: os.kill(pid, signal.SIGUSR2))


@contextmanager
def ours(servers: dict[str, int], wrapper: tuple[str, ...], timeout: float) -> Iterator[Peer]:
    """Run Only1MCP."""
    listed = [
        {"id": name, "url": f"http://127.0.0.1:{at}/mcp", "timeout": f"{timeout:g}s"}
        for name, at in servers.items()
    ]
    extra = {"id": "extra", "url": listed[0]["url"]}
    count = 0
    with Gateway(zoo(*listed), workers=2, wrapper=wrapper) as gateway:

        def reload() -> None:
            nonlocal count
            count += 1
            gateway.configure(zoo(*listed, *[extra] * (count % 2)))
            gateway.send(signal.SIGHUP)

        yield Peer("Only1MCP", gateway.port, gateway.pid, reload, "/metrics", tools=True)


PEERS = {"nginx": nginx, "haproxy": haproxy, "Only1MCP": ours}


def _write_page(folder: Path) -> Path:
    folder.chmod(0o755)  # nginx reads as nobody
    page = folder / "page"
    page.write_bytes(b"x" * 12000)
    return page
