"""kill -9 of the supervisor: nothing of the gateway stays, and the next one starts at once."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.processes import Herd
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line

END_S = 2.0


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


@pytest.mark.parametrize("workers", [1, 4])
def test_all_processes_end_with_the_supervisor(tmp_path: Path, workers: int) -> None:
    """Workers, host, servers, even daemons are gone; then a gateway starts in the same place."""
    journal = tmp_path / "journal"
    config = zoo(
        animal("a", "parent", journal), animal("b", "stubborn", tmp_path / "b"),
        animal("c", "deaf"),
    )  # fmt: skip
    with Gateway(config, workers=workers, directory=tmp_path) as first:
        with McpClient(first.port) as client, Herd.below(first.pid) as herd:
            session = client.initialize().session
            client.send("tools/call", name="c__act", arguments={})  # under way, for ever
            assert int(journal.read_text().split()[1]) in herd.alive
            os.kill(first.pid, signal.SIGKILL)
            herd.wait_gone(END_S)
        wait_until(lambda: _bindable(first.port), "the port is free", END_S)
        next_config = zoo(animal("a", "tame"))
        with Gateway(next_config, workers=workers, directory=tmp_path, port=first.port) as second:
            assert second.port == first.port
            with McpClient(second.port, session) as client:
                assert client.call("a__echo", text="hello again") == "hello again"


def test_the_demonstration_ends_with_the_supervisor() -> None:
    """A slow call under way holds nobody back."""
    with (
        Gateway(None, workers=2) as gateway,
        McpClient(gateway.port) as client,
        Herd.below(gateway.pid) as herd,
    ):
        client.send("tools/call", name="demo-calc__slow", arguments={"ms": 10_000})
        os.kill(gateway.pid, signal.SIGKILL)
        herd.wait_gone(END_S)


def test_stopped_processes_end_with_the_supervisor() -> None:
    """Even a process that cannot run at the moment does not outlive the supervisor."""
    with Gateway(zoo(animal("a", "tame")), workers=2) as gateway, Herd.below(gateway.pid) as herd:
        stopped = [gateway.pids("worker")[0], *gateway.pids("control"), gateway.server("a")["pid"]]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        os.kill(gateway.pid, signal.SIGKILL)
        herd.wait_gone(END_S)


def test_a_supervisor_killed_while_it_stops_leaves_nothing(tmp_path: Path) -> None:
    """The end of the supervisor in the middle of a drain is an end all the same."""
    config = zoo(animal("a", "deaf"), shutdown_timeout="300s", timeout="300s")
    with (
        Gateway(config, workers=2, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
        Herd.below(gateway.pid) as herd,
    ):
        client.send("tools/call", name="a__act", arguments={})
        gateway.send(signal.SIGTERM)
        wait_until(lambda: '"msg":"stopping"' in gateway.log, "it stops")
        os.kill(gateway.pid, signal.SIGKILL)
        herd.wait_gone(END_S)
