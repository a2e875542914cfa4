"""kill -9 of one process after the other: it is replaced, and nothing else notices."""

import contextlib
import functools
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.callers import Callers
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.processes import Herd
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

WORKERS = 4


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration with four workers; every test leaves it whole."""
    with Gateway(None, workers=WORKERS) as gateway:
        yield gateway


def _kill(gateway: Gateway, role: str, index: int = 0) -> int:
    """Kill one process and wait for its successor to be ready; returns the new pid."""
    old = gateway.processes()[role, index]
    os.kill(old["pid"], signal.SIGKILL)

    def successor() -> int:
        row = gateway.processes().get((role, index))
        replaced = row is not None and row["pid"] != old["pid"] and row["state"] == "ready"
        return int(row["pid"]) if row is not None and replaced else 0

    return wait_until(successor, f"a new {role}", timeout_s=5.0)


@pytest.mark.parametrize(
    ("role", "index"), [("worker", 0), ("worker", 3), ("control", 0), ("host", 0), ("demo", 0)]
)
def test_a_killed_process_is_replaced_and_the_others_stay(
    gateway: Gateway, role: str, index: int
) -> None:
    """The successor serves, one restart is counted, and every other process keeps its pid."""
    before = gateway.processes()
    _kill(gateway, role, index)
    gateway.wait_up()
    after = gateway.processes()
    assert {k: row["pid"] for k, row in after.items() if k != (role, index)} == {
        k: row["pid"] for k, row in before.items() if k != (role, index)
    }
    assert after[role, index]["restarts"] == before[role, index]["restarts"] + 1
    with McpClient(gateway.port) as client:
        assert client.call("demo-calc__add", a=1, b=2) == "3"
        assert "UTC" in client.call("demo-time__now")


@pytest.mark.parametrize("role", ["worker", "control", "host", "demo"])
def test_legacy_sessions_survive_every_kill(gateway: Gateway, role: str) -> None:
    """A session that was opened before the kill is good after it, at every worker."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session
    for index in range(WORKERS if role == "worker" else 1):
        _kill(gateway, role, index)
    gateway.wait_up()
    for _ in range(4 * WORKERS):
        with McpClient(gateway.port, session) as client:
            assert "welcome.txt" in client.call("demo-files__list")


def _refusing_workers(gateway: Gateway, session: str, since: int) -> set[str]:
    """Use an ended session on a fresh connection; returns which workers have refused it so far."""
    with McpClient(gateway.port, session) as client:
        status, message = client.request("tools/list")
    assert status == 404
    assert message["error"]["message"].startswith("the session was ended")
    lines = [json.loads(line) for line in gateway.log[since:].splitlines() if line[:1] == "{"]
    return {line["process"] for line in lines if line.get("outcome") == "session_not_found"}


def test_an_ended_session_is_ended_at_every_worker_and_stays_so(gateway: Gateway) -> None:
    """After DELETE the id gets 404 wherever it is tried, also from workers that start later."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session or ""
        assert client.end_session() == 200
    for _ in range(2):
        refuses = functools.partial(_refusing_workers, gateway, session, len(gateway.log))
        wait_until(lambda: len(refuses()) == WORKERS, "each worker refuses the session")  # noqa: B023
        for index in range(WORKERS):
            _kill(gateway, "worker", index)


def _traffic(gateway: Gateway) -> Callers:
    """Call an HTTP server from eight threads, each time on a fresh connection."""
    return Callers(gateway.port, "demo-calc__add", kept=0, fresh=8, ask=_sum)


def _sum(number: int) -> tuple[dict[str, int], str]:
    return {"a": number, "b": 1}, str(number + 1)


def test_a_worker_takes_only_the_calls_under_way_with_it(gateway: Gateway) -> None:
    """While one of four workers is killed three times no connection is refused anywhere.

    A thread has one call under way at a time, so each kill may fail one call of each thread.
    """
    kills = 3
    with _traffic(gateway) as traffic:
        for _ in range(kills):
            _kill(gateway, "worker", 1)
            traffic.flow()
    cut_off = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}
    assert {type(error).__name__ for _, error in traffic.failures} <= cut_off
    threads = Counter(number for number, _ in traffic.failures)
    assert all(count <= kills for count in threads.values())


@pytest.mark.parametrize("pure", [False, True])
def test_connections_wait_for_the_successor_of_the_only_worker(pure: bool) -> None:
    """While nobody is there to accept them none is refused, and each is served."""
    with Gateway(zoo(animal("a", "tame")), pure=pure) as gateway:
        for _ in range(3):
            pid = gateway.pids("worker")[0]
            with Herd([pid]) as worker:
                os.kill(pid, signal.SIGKILL)
                worker.wait_gone(1.0)
            with McpClient(gateway.port) as client:
                assert client.call("a__echo", text="served") == "served"


@pytest.mark.parametrize("role", ["control", "host"])
def test_traffic_to_http_servers_does_not_notice_other_kills(gateway: Gateway, role: str) -> None:
    """Calls to an HTTP server all succeed while the control process or the host is killed."""
    with _traffic(gateway) as traffic:
        for _ in range(2):
            _kill(gateway, role)
            traffic.flow()
    assert not traffic.failures


def test_calls_to_stdio_servers_wait_for_the_next_host() -> None:
    """A call that comes while the host is replaced is answered by the new server process."""
    with Gateway(zoo(animal("a", "tame"))) as gateway, McpClient(gateway.port) as client:
        before = client.call("a__whoami")
        os.kill(gateway.pids("host")[0], signal.SIGKILL)
        wait_until(lambda: "link to the host broke" in gateway.log, "the worker has noticed")
        assert client.call("a__whoami") != before


@pytest.mark.parametrize("victim", ["host", "worker", "control"])
def test_children_of_a_killed_host_are_gone(tmp_path: Path, victim: str) -> None:
    """Servers and their daemons end with the host, and with nobody else."""
    journal = tmp_path / "journal"
    config = zoo(animal("a", "parent", journal), animal("b", "tame"))
    with Gateway(config, workers=2, directory=tmp_path) as gateway, contextlib.ExitStack() as stack:
        host = gateway.pids("host")[0]
        servers = stack.enter_context(Herd.below(host))
        daemon = int(journal.read_text().split()[1])
        assert {host, daemon, gateway.server("a")["pid"]} < servers.alive
        if victim == "host":
            os.kill(host, signal.SIGKILL)
            servers.wait_gone(2.0)
        else:
            _kill(gateway, victim)
            assert servers.alive == servers.pids
        gateway.wait_up()
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="again") == "again"
            assert client.call("b__echo", text="again") == "again"


def test_a_host_that_is_killed_again_and_again_leaves_no_process(tmp_path: Path) -> None:
    """Daemons of every life of the host are gone, and those of the last one live."""
    journal = tmp_path / "journal"
    with (
        Gateway(zoo(animal("a", "parent", journal)), directory=tmp_path) as gateway,
        contextlib.ExitStack() as stack,
    ):
        for life in range(1, 4):
            wait_until(lambda: journal.exists() and _daemons(journal) == life, "a daemon")  # noqa: B023
            herd = stack.enter_context(Herd.below(gateway.pids("host")[0]))
            _kill(gateway, "host")
            herd.wait_gone(2.0)
        gateway.wait_up()


def _daemons(journal: Path) -> int:
    return journal.read_text().count("daemon")
