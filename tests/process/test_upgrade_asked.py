"""Who asks for an upgrade is told its own end: while another goes on, and when all dies."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Return a file that servers wait for on their way up; it is there when the test ends."""
    (tmp_path / "gate").touch()
    yield tmp_path / "gate"
    (tmp_path / "gate").touch()


@contextlib.contextmanager
def _upgrading(gateway: Gateway) -> Iterator["subprocess.Popen[str]"]:
    """Run `upgrade` until the new program's host is there, which waits for its servers."""
    command = [sys.executable, "-m", "only1mcp", "upgrade", "--timeout", "600", "--json"]
    with subprocess.Popen(command, env=gateway.env, stdout=subprocess.PIPE, text=True) as running:
        try:
            wait_until((gateway.runtime_dir / "g2" / "host.sock").exists, "the new host")
            yield running
        finally:
            running.kill()


def _result(running: "subprocess.Popen[str]") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(running.communicate(timeout=PATIENCE_S)[0])
    return said


def test_a_second_upgrade_is_refused_alone(tmp_path: Path, gate: Path) -> None:
    """The first goes on, whether the second was a command or a signal, and reports its own end."""
    config = zoo(animal("a", "late", gate))
    with Gateway(config, directory=tmp_path) as gateway:
        gate.unlink()  # the new program's own keeps it from taking over
        with _upgrading(gateway) as first:
            code, out, _ = gateway.run("upgrade", "--json")
            said = json.loads(out)["error"]
            assert (code, said["code"]) == (7, "UPGRADE_UNDER_WAY")
            gateway.send(signal.SIGUSR1)
            wait_until(lambda: "another upgrade is under way" in gateway.log, "the other refusal")
            assert first.poll() is None
            gate.touch()
            after = _result(first)["data"]["after"]["pid"]
        assert gateway.status()["pid"] == after != gateway.pid
        assert gateway.status()["upgrade"]["ok"] is True


def test_a_gateway_that_dies_during_an_upgrade_is_not_waited_for(
    tmp_path: Path, gate: Path
) -> None:
    """The new program goes with the old one, and the command says so."""
    with Gateway(zoo(animal("a", "late", gate)), directory=tmp_path) as gateway:
        gate.unlink()
        with _upgrading(gateway) as running, Herd.below(gateway.pid) as herd:
            os.kill(gateway.pid, signal.SIGKILL)
            said = _result(running)["error"]
            assert (running.returncode, said["code"]) == (4, "GATEWAY_ENDED")
            herd.wait_gone(PATIENCE_S)
