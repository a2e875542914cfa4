"""What stands in every scenario: a gateway before a stdio server and an HTTP server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

HTTP_TOOL, STDIO_TOOL = "web__echo", "pipe__echo"
_BYTES = 64


@contextmanager
def http_backend(port: int | None = None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run an HTTP server with a tool `echo` in a process of its own."""
    port = port or free_port()
    with _module("benchmarks.echo_backend", str(port), str(_BYTES)) as process:
        yield port, process


@contextmanager
def weak_backend(kind: str) -> Iterator[int]:
    """Run an HTTP server of `chaos.backends`; yields its port."""
    port = free_port()
    with _module("chaos.backends", kind, str(port)):
        yield port


@contextmanager
def _module(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def site(
    workers: int = 2, *more: dict[str, Any], wrapper: tuple[str, ...] = (), **proxy: Any
) -> Iterator[Gateway]:
    """Run a gateway before `web` and `pipe`, and whatever servers are declared besides."""
    with http_backend() as (port, _):
        web = {"id": "web", "url": f"http://127.0.0.1:{port}/mcp"}
        config = zoo(web, animal("pipe", "tame"), *more, **proxy)
        up = ["web", "pipe"]
        with Gateway(config, workers=workers, wait_for=up, wrapper=wrapper) as gateway:
            yield gateway


def wait_usable(gateway: Gateway) -> None:
    """Wait until both servers can be called."""
    wait_until(lambda: gateway.get("/health")[0] == 200, "the gateway is usable")
    gateway.wait_up("web", "pipe")
