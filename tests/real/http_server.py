"""Real servers over Streamable HTTP, each a process of its own that can be killed."""

import os
import socket
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.real.installed import NODE, PY1, PY2, ROOT, program
from tests.support.ports import free_port
from tests.support.waiting import wait_until


class HttpServer:
    """Runs for the time of a `with` block; the port stays the same if it is started again.

    Args:
        command: a program that listens on the port that the variable PORT names.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.port = free_port()
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.kill()

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env={**os.environ, "PORT": str(self.port)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._listens, f"{self._command} listens")

    def kill(self) -> None:
        """End it at once; it forgets all sessions."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def everything() -> HttpServer:
    """Return server-everything."""
    return HttpServer([NODE, str(program("server-everything")), "streamableHttp"])


def python1() -> HttpServer:
    """Return a server on the first generation of the Python SDK."""
    return HttpServer([PY1, "-m", "tests.real.servers.py1_http"])


def python2() -> HttpServer:
    """Return a server on the second generation of the Python SDK."""
    return HttpServer([PY2, "-m", "tests.real.servers.py2_http"])
