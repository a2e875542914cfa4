"""Starts gateways from a process that has imported the program, as quickly as a fork.

Imports take the greater part of a gateway's start, and tests start more than a thousand. What runs
is the same from `only1mcp.__main__` on, in a process of its own; the tests of starting, of upgrades
and of memory run the program itself.
"""

import contextlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_OWN_PREFIXES = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "ONLY1MCP_PURE")
"""Variables that are read before a program's first line, or when it is imported."""
UNKNOWN = 255
"""The exit code of a process whose fork server has ended."""


class ForkServer:
    """One process that waits to be forked, as long as this one lives.

    Args:
        environment: the variables that it is to have imported the program with.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="o1-")
        self._path = str(Path(self._folder.name) / "s")
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, self._path],
            env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the tests, which end what they have started
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the fork server does not start")

    def start(
        self, arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> "ForkedProcess":
        """Run `only1mcp` in a folder; its output is appended to the files `out` and `log` there."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        order = {"arguments": list(arguments), "env": dict(env), "folder": str(folder)}
        sock.sendall(json.dumps(order).encode() + b"\n")
        return ForkedProcess(sock)

    def close(self) -> None:
        """End the process; those that it started are their owners' affair."""
        self._process.communicate()
        self._folder.cleanup()


class ForkedProcess:
    """What was started, with as much of `subprocess.Popen` as gateways need."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        self._lock = threading.Lock()
        self.pid = int(self._file.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on for longer.
        """
        if self.returncode is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired("only1mcp", timeout or 0.0)
        with self._lock:
            if self.returncode is None:
                said = self._file.readline()
                self.returncode = int(said) if said else UNKNOWN
                self._file.close()
                self._sock.close()
            return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        ended = select.poll()  # `select.select` knows descriptors below 1,024 alone
        ended.register(self._sock, select.POLLIN)
        return bool(ended.poll(None if timeout is None else timeout * 1000))

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServers:
    """A fork server for each set of variables that count before the first line."""

    def __init__(self) -> None:
        self._servers: dict[frozenset[tuple[str, str]], ForkServer] = {}

    def start(
        self, arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> ForkedProcess:
        """Run `only1mcp` in a folder, as `ForkServer.start` does."""
        early = frozenset(item for item in env.items() if item[0].startswith(_OWN_PREFIXES))
        if early not in self._servers:
            rest = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_PREFIXES)}
            self._servers[early] = ForkServer({**rest, **dict(early)})
        return self._servers[early].start(arguments, env, folder)

    def close(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            server.close()


def serve(path: str) -> dict[str, Any]:
    """Wait for orders until the parent leaves; returns an order in the process that is to obey."""
    children: dict[int, socket.socket] = {}
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(128)
        for file in (listener, woken, sys.stdin):
            selector.register(file, selectors.EVENT_READ)
        os.write(sys.stdout.fileno(), b"ready\n")
        order = None
        while order is None:
            ready = [key.fileobj for key, _ in selector.select()]
            if sys.stdin in ready:
                os._exit(0)
            if woken in ready:
                woken.recv(4096)
                _reap(children)
            if listener in ready:
                order = _fork(listener.accept()[0], children)
    for file in (wake, woken, *children.values()):
        file.close()
    return order


def _reap(children: dict[int, socket.socket]) -> None:
    """Tell of those that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with children.pop(pid) as sock, contextlib.suppress(BrokenPipeError):  # nobody waits
            sock.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _fork(sock: socket.socket, children: dict[int, socket.socket]) -> dict[str, Any] | None:
    """Become two; the new process gets the order."""
    with sock.makefile("rb") as file:
        order: dict[str, Any] = json.loads(file.readline())
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sock.close()
        return order
    children[pid] = sock
    sock.sendall(b"%d\n" % pid)
    return None


def obey(order: dict[str, Any]) -> None:
    """Be the program, started as ordered."""
    os.setsid()
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, (file, flags) in enumerate(
        (("/dev/null", os.O_RDONLY), ("out", append), ("log", append))
    ):
        opened = os.open(file, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["only1mcp", *order["arguments"]]
    sys.orig_argv[:] = [sys.executable, "-P", "-m", "only1mcp", *order["arguments"]]
    runpy.run_module("only1mcp", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for module in (
        "only1mcp.cli.lifecycle", "only1mcp.cli.place", "only1mcp.config.loader",
        "only1mcp.observability.logs", "only1mcp.supervisor.supervisor",
    ):  # fmt: skip
        __import__(module)
    obey(serve(sys.argv[1]))
