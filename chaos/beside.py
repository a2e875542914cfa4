"""The same faults given to nginx and haproxy: what they do where they can be compared.

Their settings (`chaos/peers.py`): two worker processes or threads, keep-alive on both sides, a
second for an answer, and a bound of 256 calls at each server, beyond which nginx answers 502 at
once and haproxy 503 after 100 ms in line.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from chaos.backends import SLOW_S
from chaos.load import Load
from chaos.peers import PEERS, Peer, install
from chaos.site import http_backend, weak_backend
from chaos.slow_http import attack

_RATE = 300.0
_FILES = 256
_THERE = 8
_PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy", "slowhttptest": "slowhttptest"}
Answer = str


def reloads(run: "Run", seconds: float) -> Answer:
    """Reload every second under load."""
    with run.peer() as peer, peer.load("web", rate=_RATE, seconds=seconds) as calls:
        end = time.monotonic() + seconds - 1
        while time.monotonic() < end:
            peer.reload()
            time.sleep(1)
    return _told(calls)


def kills(run: "Run", seconds: float) -> Answer:
    """Kill a worker with SIGKILL every half second under load."""
    with run.peer() as peer, peer.load("web", rate=_RATE, seconds=seconds) as calls:
        end, count = time.monotonic() + seconds - 1, 0
        while time.monotonic() < end:
            found = peer.workers()
            if found:
                os.kill(found[count % len(found)], signal.SIGKILL)
                count += 1
            time.sleep(0.5)
    return _told(calls)


def slow_clients(kind: str, run: "Run", seconds: float) -> Answer:
    """Hold 4,000 connections whose heads never end, or whose clients hardly read."""
    with run.peer() as peer:
        with peer.load("web", rate=_RATE, seconds=seconds / 2) as calm:
            pass
        with peer.load("web", rate=_RATE, seconds=seconds) as calls:
            seen = attack(kind, f"http://127.0.0.1:{peer.port}", seconds, peer.target(kind))
    return (
        f"unavailable for {seen.unavailable_s} of {seen.seconds} s; "
        f"{_failed(calls)}, p99 {calls.p99_ms:.1f} ms, calm {calm.p99_ms:.1f}"
    )


def few_descriptors(run: "Run", seconds: float) -> Answer:
    """Let each process open 256 files, and connect 1,000 clients."""
    with (
        run.peer(wrapper=("prlimit", f"--nofile={_FILES}:{_FILES}")) as peer,
        peer.load("web", rate=_RATE / 3, seconds=seconds, connections=_THERE, most=_THERE) as calls,
        ExitStack() as crowd,
    ):
        time.sleep(seconds / 3)
        many = [crowd.enter_context(_client(peer.port)) for _ in range(4 * _FILES)]
        heard = [_heard(one) for one in many]
    refused, silent = heard.count("told"), heard.count("closed")
    return f"{refused} told why, {silent} closed without a word; {_told(calls)}"


def hung_server(run: "Run", seconds: float) -> Answer:
    """Stop one of two servers with SIGSTOP; each call may take a second."""
    with http_backend() as (port, process):
        with (
            run.peer({"hung": port}) as peer,
            peer.load("web", rate=_RATE, seconds=seconds) as others,
            peer.load("hung", rate=50, seconds=seconds, timeout_s=5) as own,
        ):
            time.sleep(max(seconds / 3, 3))  # the calls have begun
            os.kill(process.pid, signal.SIGSTOP)
        return f"others: {_told(others)}; its own: {_told(own)}"


def overload(run: "Run", seconds: float) -> Answer:
    """Send a server three times what it can do."""
    with (
        weak_backend("slow") as port,
        run.peer({"slow": port}, timeout=10) as peer,
        peer.load("slow", rate=3 / SLOW_S, seconds=seconds, most=2000) as calls,
    ):
        pass
    return f"{calls.ok_per_second:.0f} answered per s; {_told(calls)}"


FAULTS: dict[str, tuple[Callable[["Run", float], Answer], float]] = {
    "reload every second": (reloads, 15),
    "worker kill -9 every half second": (kills, 10),
    "4,000 clients with slow heads": (partial(slow_clients, "headers"), 30),
    "4,000 clients that read slowly": (partial(slow_clients, "reads"), 30),
    "256 descriptors, 1,024 clients": (few_descriptors, 6),
    "one of two servers hangs": (hung_server, 8),
    "a server at three times its capacity": (overload, 10),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One fault and the proxy that it is given to."""

    make: Callable[..., AbstractContextManager[Peer]]
    web: int

    @contextmanager
    def peer(
        self, more: dict[str, int] | None = None, wrapper: tuple[str, ...] = (), timeout: float = 1
    ) -> Iterator[Peer]:
        """Run the proxy in front of these servers, besides `web`."""
        with self.make({"web": self.web, **(more or {})}, wrapper, timeout) as peer:
            yield peer


def compare(seconds: float | None = None) -> Iterator[str]:
    """Give each fault to each proxy; yields the rows of a table in Markdown."""
    for program in _PACKAGES:
        install(program, _PACKAGES[program])
    yield "| fault | " + " | ".join(PEERS) + " |"
    yield "| --- |" + " --- |" * len(PEERS)
    for fault, (cause, usual_s) in FAULTS.items():
        cells = []
        for name, make in PEERS.items():
            with http_backend() as (web, _):
                try:
                    cell = cause(Run(make, web), seconds or usual_s)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    cell = f"no figures: {str(error).splitlines()[0][:120]}"
            load_1, _, _ = os.getloadavg()
            cells.append(f"{cell} (load {load_1:.0f})")
            print(f"{fault}: {name}: {cells[-1]}", file=sys.stderr)
        yield f"| {fault} | " + " | ".join(cells) + " |"


def _told(calls: Load) -> str:
    return f"{_failed(calls)}, p99 {calls.p99_ms:.0f} ms"


def _failed(calls: Load) -> str:
    failures = ", ".join(f"{count} {kind}" for kind, count in sorted(calls.failures.items()))
    return f"{failures or 'no failure'} of {calls.calls}"


@contextmanager
def _client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        yield one


def _heard(one: socket.socket) -> str:
    one.settimeout(0.02)
    try:
        return "told" if one.recv(256).startswith(b"HTTP/1.1 503") else "closed"
    except TimeoutError:
        return "open"
    except OSError:
        return "closed"
