"""Workers come and go at run time, and no call fails."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.callers import Callers
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


def _config(workers: int) -> dict[str, Any]:
    return zoo(animal("a", "tame"), workers=workers)


def _serving(gateway: Gateway) -> set[int]:
    """Return the pids of the workers that are ready, if no other worker is there."""
    rows = [row for row in gateway.status()["processes"] if row["role"] == "worker"]
    ready = {row["pid"] for row in rows if row["state"] == "ready"}
    return ready if len(ready) == len(rows) else set()


def _resize(gateway: Gateway, workers: int) -> None:
    gateway.configure(_config(workers))
    wait_until(lambda: len(_serving(gateway)) == workers, f"{workers} workers")


def test_the_number_of_workers_follows_the_file_and_no_call_fails(tmp_path: Path) -> None:
    """Up and down, also to one; clients that come meanwhile always find somebody."""
    with Gateway(_config(2), workers=None, directory=tmp_path) as gateway:
        server = gateway.server("a")["pid"]
        with Callers(gateway.port, "a__echo") as callers:
            for workers in (4, 1, 3, 2, 5, 1):
                _resize(gateway, workers)
                callers.flow()
        assert callers.failures == []
        assert gateway.server("a")["pid"] == server
        assert b'only1mcp_worker_up{worker="' in gateway.get("/metrics")[1]


def test_the_command_sets_the_number_in_the_file_and_at_once(tmp_path: Path) -> None:
    """It returns when so many serve; comments stay, and no call fails."""
    text = f"# Ours.\n{json.dumps(_config(2))}  # all\n"
    with Gateway(text, workers=None, directory=tmp_path) as gateway:
        path = tmp_path / "config.yaml"
        with Callers(gateway.port, "a__echo") as callers:
            for number in (3, 1):
                code, _, said = gateway.run("workers", str(number), "-c", str(path))
                assert (code, said) == (0, f"workers: {number} in {path}; in force\n")
                rows = [row for row in gateway.status()["processes"] if row["role"] == "worker"]
                assert sum(row["state"] == "ready" for row in rows) == number
                callers.flow()
        assert callers.failures == []
        assert path.read_text() == text.replace('"workers": 2', '"workers": 1')
        refusals = (("x", 2, "neither a number nor auto"), ("0", 5, "must be 1 to"))
        for wish, expected, words in refusals:
            code, _, said = gateway.run("workers", wish, "-c", str(path))
            assert (code, words in said) == (expected, True), said
    done = gateway.command("workers", "auto", "-c", str(path), "--json")["data"]
    assert done == {"workers": "auto", "file": str(path), "live": False}
    assert '"workers": "auto"' in path.read_text()


def test_a_number_of_workers_from_the_start_is_not_overruled(tmp_path: Path) -> None:
    """The file would say one thing, and what runs another."""
    with Gateway(_config(2), workers=1, directory=tmp_path) as gateway:
        path = tmp_path / "config.yaml"
        before = path.read_text()
        code, _, said = gateway.run("workers", "3", "-c", str(path))
        assert code == 7
        assert "ONLY1MCP_WORKERS" in said
        assert "hint: start it without" in said
        assert path.read_text() == before
        assert len(_serving(gateway)) == 1


def test_sockets_of_workers_that_are_no_more_are_served(tmp_path: Path) -> None:
    """Also after the worker that stands in was killed: the kernel goes on spreading clients."""
    with Gateway(_config(4), workers=None, directory=tmp_path) as gateway:
        _resize(gateway, 1)
        before = _serving(gateway)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: _serving(gateway) not in (set(), before), "the next worker")
        for _ in range(40):
            with McpClient(gateway.port) as client:
                assert client.call("a__echo", text="x") == "x"


@pytest.mark.parametrize("pure", [False, True])
def test_a_rolling_restart_replaces_every_worker_and_no_call_fails(
    tmp_path: Path, pure: bool
) -> None:
    """The servers and the sessions of clients are those from before."""
    with Gateway(_config(3), workers=None, pure=pure, directory=tmp_path) as gateway:
        server = gateway.server("a")["pid"]
        with McpClient(gateway.port) as client:
            session = client.initialize().session
        with Callers(gateway.port, "a__echo") as callers:
            for _ in range(2):
                old = _serving(gateway)
                with Herd(old) as herd:
                    code, _, said = gateway.run("restart", "--port", str(gateway.port))
                    assert (code, "replaced 3 workers; 3 serve" in said) == (0, True), said
                    herd.wait_gone(PATIENCE_S)
                wait_until(lambda: len(_serving(gateway)) == 3, "three workers")
                assert not _serving(gateway) & old
                assert not any(row["restarts"] for row in gateway.processes().values())
                callers.flow()
        assert callers.failures == []
        assert gateway.server("a")["pid"] == server
        with McpClient(gateway.port, session) as client:
            assert client.call("a__echo", text="again") == "again"


@pytest.mark.parametrize("first", ["number", "restart"])
def test_a_restart_and_a_change_of_the_number_are_both_done(tmp_path: Path, first: str) -> None:
    """Whichever begins first; the command that sets the number then has nothing to wait for."""
    with Gateway(_config(3), workers=None, directory=tmp_path) as gateway:
        before = _serving(gateway)
        if first == "restart":
            gateway.send(signal.SIGUSR2)
            wait_until(lambda: _pids(gateway) - before, "the first new worker")
        number = gateway.status()["settings"]
        gateway.configure(_config(2))
        wait_until(lambda: gateway.status()["settings"] > number, "the number is in force")
        if first == "number":
            _wait_for_a_turn(gateway)
            gateway.send(signal.SIGUSR2)
        wait_until(lambda: not _pids(gateway) & before, "no worker of before is left")
        wait_until(lambda: len(_serving(gateway)) == 2, "two workers")
        code, _, said = gateway.run("workers", "2", "-c", str(tmp_path / "config.yaml"))
        assert code == 0, said
        assert len(_serving(gateway)) == 2


def _wait_for_a_turn(gateway: Gateway) -> None:
    """Wait until the supervisor has looked at what is in force now."""
    now = time.monotonic()

    def has_turned() -> bool:
        age_ms = int(gateway.processes()["supervisor", 0]["heartbeat_age_ms"])
        return time.monotonic() - (age_ms + 1) / 1000 > now

    wait_until(has_turned, "the supervisor has looked")


def test_workers_that_can_stay_keep_their_clients_when_the_number_changes(tmp_path: Path) -> None:
    """Fewer: only those too many go. More: nobody does, and no stream ends."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Gateway(_config(4), workers=None, directory=tmp_path))
        callers = stack.enter_context(Callers(gateway.port, "a__echo"))
        four = _serving(gateway)
        _resize(gateway, 2)
        two = _serving(gateway)
        assert two < four
        streams = [_open_stream(gateway, stack) for _ in range(8)]
        _resize(gateway, 4)
        assert _serving(gateway) > two
        callers.flow()
        gateway.configure(zoo(animal("a", "tame"), animal("b", "tame"), workers=4))
        for stream in streams:
            stream.until("notifications/tools/list_changed")
        assert callers.failures == []


def _open_stream(gateway: Gateway, stack: contextlib.ExitStack) -> EventStream:
    with McpClient(gateway.port) as client:
        session = str(client.initialize().session)
    return stack.enter_context(EventStream(gateway.port, session))


@pytest.mark.parametrize("workers", [1, 4])
def test_a_restart_is_done_when_no_worker_of_before_is_left(tmp_path: Path, workers: int) -> None:
    """However many there are to be by then."""
    with Gateway(_config(3), workers=None, directory=tmp_path) as gateway:
        before = _serving(gateway)
        restart = [sys.executable, "-m", "only1mcp", "restart", "--timeout", str(PATIENCE_S)]
        with subprocess.Popen(restart, env=gateway.env, stderr=subprocess.PIPE, text=True) as one:
            try:
                wait_until(lambda: _serving(gateway) - before, "the first new worker")
                gateway.configure(_config(workers))
                gateway.send(signal.SIGHUP)
                said = one.communicate(timeout=2 * PATIENCE_S)[1]
            finally:
                one.kill()
        assert one.returncode == 0, said
        assert not _serving(gateway) & before
        wait_until(lambda: len(_serving(gateway)) == workers, f"{workers} workers")


@pytest.mark.parametrize("victim", ["control", "supervisor"])
def test_a_restart_outlasts_the_control_process_and_not_the_gateway(
    tmp_path: Path, victim: str
) -> None:
    """While control is replaced nobody can be asked how far it is; without a gateway it is over."""
    with Gateway(_config(4), workers=None, directory=tmp_path) as gateway:
        before = _serving(gateway)
        restart = [sys.executable, "-m", "only1mcp", "restart", "--timeout", str(PATIENCE_S)]
        with (
            Herd.below(gateway.pid),
            subprocess.Popen(restart, env=gateway.env, stderr=subprocess.PIPE, text=True) as one,
        ):
            try:
                wait_until(lambda: _pids(gateway) - before, "the first new worker")
                gateway.send(signal.SIGSTOP)  # so that it replaces nobody
                if victim == "control":
                    os.kill(gateway.pids("control")[0], signal.SIGKILL)
                    wait_until(lambda: gateway.run("status")[0] == 4, "nobody to ask")
                    gateway.send(signal.SIGCONT)
                else:
                    gateway.send(signal.SIGKILL)
                said = one.communicate(timeout=2 * PATIENCE_S)[1]
            finally:
                one.kill()
        assert (one.returncode, "ended meanwhile" in said) == (
            (0, False) if victim == "control" else (4, True)
        ), said


def _pids(gateway: Gateway) -> set[int]:
    return {row["pid"] for row in gateway.status()["processes"] if row["role"] == "worker"}


def test_a_restart_lets_a_long_call_finish(tmp_path: Path) -> None:
    """Its worker stays until it is answered, beside its successor."""
    gate = tmp_path / "gate"
    config = zoo(animal("a", "patient", gate), workers=2)
    with Gateway(config, workers=None, directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            client.send("tools/call", name="a__act", arguments={})
            assert gateway.run("restart", "--port", str(gateway.port))[0] == 0
            states = [row["state"] for row in gateway.status()["processes"]]
            assert "draining" in states
            gate.touch()
            assert "content" in client.receive()[1]["result"]
        wait_until(lambda: len(_serving(gateway)) == 2, "two workers")
