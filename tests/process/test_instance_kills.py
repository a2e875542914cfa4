"""A server with several instances, real processes that die and come back."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.ports import free_port
from tests.support.waiting import wait_until

CALLERS = 6
WAIT_S = 30.0


class Fleet:
    """Processes that are instances of one server."""

    def __init__(self, count: int, directory: Path) -> None:
        self.ports = [free_port() for _ in range(count)]
        self.journal = directory / "ran"
        self.journal.touch()
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * count

    def start(self, place: int) -> None:
        """Start an instance."""
        self.processes[place] = subprocess.Popen(
            [sys.executable, "-m", "tests.support.instance_server", str(self.ports[place]),
             f"i{place}", str(self.journal)]
        )  # fmt: skip

    def kill(self, place: int) -> None:
        """Kill one."""
        process = self.processes[place]
        if process is not None:
            process.kill()
            process.wait()

    def config(self, **routing: Any) -> dict[str, Any]:
        """Return the gateway's configuration."""
        return {
            "proxy": {
                "routing": {"algorithm": "round_robin", **routing},
                "health": {"check_interval": "500ms"},
                "circuit_breaker": {"timeout": "1s"},
            },
            "servers": [
                {"id": "s",
                 "instances": [{"url": f"http://127.0.0.1:{port}/mcp"} for port in self.ports]}
            ],
        }  # fmt: skip


@contextmanager
def fleet(count: int, directory: Path) -> Iterator[Fleet]:
    """Run so many instances."""
    instances = Fleet(count, directory)
    try:
        for place in range(count):
            instances.start(place)
        yield instances
    finally:
        for place in range(count):
            instances.kill(place)


class Load:
    """Callers that call without a pause until they are told to stop."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.acted: Counter[str] = Counter()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(CALLERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: int) -> None:
        with McpClient(self._port) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    self.answers[client.call("s__look", n=number)] += 1
                except CallFailed as failure:
                    self.failures.append(str(failure))
                if number % 5 == 0:
                    self._act(client, caller * 1_000_000 + number)

    def _act(self, client: McpClient, number: int) -> None:
        try:
            client.call("s__act", n=number)
            self.acted["well"] += 1
        except CallFailed:
            self.acted["not known"] += 1


@pytest.mark.parametrize("pure", [False, True])
def test_no_safe_call_fails_when_one_of_two_instances_is_killed(pure: bool, tmp_path: Path) -> None:
    """Nor does any other run twice; the instance gets calls again when it is back."""
    with ExitStack() as stack:
        instances = stack.enter_context(fleet(2, tmp_path))
        gateway = stack.enter_context(Gateway(instances.config(), workers=2, pure=pure))
        load = stack.enter_context(Load(gateway.port))
        wait_until(lambda: min(load.answers["i0"], load.answers["i1"]) > 100, "load", WAIT_S)
        instances.kill(0)
        before = load.answers["i1"]
        wait_until(lambda: load.answers["i1"] > before + 300, "calls at the survivor", WAIT_S)
        wait_until(lambda: health(gateway)[0] == "down", "the verdict", WAIT_S)
        assert health(gateway)[1] == "up"
        instances.start(0)
        before = load.answers["i0"]
        wait_until(lambda: load.answers["i0"] > before + 100, "calls where it is back", WAIT_S)
        wait_until(lambda: breakers(gateway) == ["closed", "closed"], "closed breakers", WAIT_S)
    assert load.failures == []
    ran = Counter(instances.journal.read_text().split())
    assert max(ran.values()) == 1
    assert load.acted["well"] > 10


def health(gateway: Gateway) -> list[str]:
    """Return what the host says of each instance."""
    return [str(one["health"]) for one in gateway.server("s")["instances"]]


def breakers(gateway: Gateway) -> list[str]:
    """Return what each breaker does."""
    return [str(one["breaker"]) for one in gateway.server("s")["instances"]]
