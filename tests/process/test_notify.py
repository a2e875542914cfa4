"""The notification protocol of systemd, against a real datagram socket (sd_notify(3))."""

import signal
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.manager import managed
from tests.support.mcp_client import McpClient
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where the manager listens: a path, or a name without one."""
    return str(tmp_path / "n") if request.param == "path" else f"@only1mcp-test-{tmp_path}"


def test_start_reload_and_stop_are_told_to_the_service_manager(
    tmp_path: Path, address: str
) -> None:
    """READY once it serves; RELOADING with its time, then READY; STOPPING at the end."""
    env = {"NOTIFY_SOCKET": address}
    with (
        managed(address) as manager,
        Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=env) as gateway,
    ):
        ready = manager.next()
        assert ready["READY"] == "1"
        assert ready["MAINPID"] == str(gateway.pid)
        assert str(gateway.port) in ready["STATUS"]
        gateway.send(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.next()["READY"] == "1"
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="served") == "served"
        gateway.send(signal.SIGTERM)
        assert manager.next()["STOPPING"] == "1"
        assert gateway.wait() == 143


def test_a_failed_reload_ends_with_ready_as_well(tmp_path: Path) -> None:
    """The manager waits for READY; the status says that nothing changed."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "n")}
    with (
        managed(env["NOTIFY_SOCKET"]) as manager,
        Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=env) as gateway,
    ):
        assert manager.next()["READY"] == "1"
        gateway.configure("nonsense: true")
        gateway.send(signal.SIGHUP)
        assert manager.next()["RELOADING"] == "1"
        ready = manager.next()
        assert ready["READY"] == "1"
        assert "the old configuration goes on" in ready["STATUS"]


def test_the_watchdog_is_fed_also_while_the_gateway_drains(tmp_path: Path) -> None:
    """WATCHDOG comes again and again, during a stop that takes long as well."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "400000"}
    config = zoo(animal("a", "deaf"), shutdown_timeout="300s", timeout="300s")
    with (
        managed(env["NOTIFY_SOCKET"]) as manager,
        Gateway(config, directory=tmp_path, env=env) as gateway,
    ):
        assert manager.next_but_watchdog()["READY"] == "1"
        assert [manager.next() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
        with McpClient(gateway.port) as client:
            client.send("tools/call", name="a__act", arguments={})
            gateway.send(signal.SIGTERM)
            assert manager.next_but_watchdog()["STOPPING"] == "1"
            assert [manager.next() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
            gateway.send(signal.SIGTERM)
            assert gateway.wait() == 143


@pytest.mark.parametrize("env", [{}, {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"}])
def test_the_watchdog_is_fed_only_where_it_watches(tmp_path: Path, env: dict[str, str]) -> None:
    """Without a watchdog, or with one for another process, no WATCHDOG is sent."""
    env = {**env, "NOTIFY_SOCKET": str(tmp_path / "n")}
    with (
        managed(env["NOTIFY_SOCKET"]) as manager,
        Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=env) as gateway,
    ):
        assert manager.next()["READY"] == "1"
        assert gateway.stop() == 143
        assert manager.next()["STOPPING"] == "1"


def test_children_do_not_inherit_the_service_managers_socket(tmp_path: Path) -> None:
    """A server that speaks the protocol itself cannot speak in our name."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "n")}
    with (
        managed(env["NOTIFY_SOCKET"]),
        Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=env) as gateway,
    ):
        pid = gateway.server("a")["pid"]
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
