"""SIGHUP: the configuration is read again, and no call notices."""

import contextlib
import http.client
import json
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from only1mcp.transports.stdio import descendants
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient, said
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo


def _tools(gateway: Gateway) -> set[str]:
    with McpClient(gateway.port) as client:
        return set(client.tools())


def _offers(gateway: Gateway, *server_ids: str) -> bool:
    """Say whether exactly these servers' tools are offered."""
    return {tool.partition("__")[0] for tool in _tools(gateway)} == set(server_ids)


def _reload(gateway: Gateway, times: int = 1) -> None:
    """Ask for a reload and wait until it is done, the old processes' end included."""
    before = gateway.log.count('"msg":"reloaded"')
    gateway.send(signal.SIGHUP)
    wait_until(lambda: gateway.log.count('"msg":"reloaded"') >= before + times, "it is reloaded")


@pytest.mark.parametrize("workers", [1, 4])
def test_servers_come_and_go_with_the_file(tmp_path: Path, workers: int) -> None:
    """After SIGHUP the new servers are there, the removed ones gone, and so are their processes."""
    config = zoo(animal("a", "tame"), animal("b", "tame"))
    with Gateway(config, workers=workers, directory=tmp_path) as gateway:
        with Herd(descendants(gateway.pid)) as old, McpClient(gateway.port) as client:
            session = client.initialize().session
            gateway.configure(zoo(animal("b", "tame"), animal("c", "tame")))
            _reload(gateway)
            wait_until(lambda: _offers(gateway, "b", "c"), "the new servers are offered")
            old.wait_gone(PATIENCE_S)
        with McpClient(gateway.port, session) as client:
            assert client.call("c__echo", text="hello") == "hello"
            with pytest.raises(CallFailed, match="a__echo"):
                client.call("a__echo", text="hello")
        assert len(gateway.pids("worker")) == workers


@pytest.mark.parametrize(
    ("broken", "place"), [("servers: [{id: a}]", "1:11:"), ("servers: [", "2:1:"), ("\x00", " ")]
)
def test_an_invalid_file_changes_nothing(tmp_path: Path, broken: str, place: str) -> None:
    """The problems are reported, and everything goes on as before."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        before = gateway.processes().keys(), gateway.pids("worker"), gateway.server("a")["pid"]
        path = gateway.configure(broken)
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "the configuration is not valid" in gateway.log, "it is reported")
        assert f"{path}:{place}" in gateway.log
        after = gateway.processes().keys(), gateway.pids("worker"), gateway.server("a")["pid"]
        assert after == before
        gateway.configure(zoo(animal("b", "tame")))
        _reload(gateway)
        wait_until(lambda: _offers(gateway, "b"), "a valid file is taken")


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """Without its file the gateway goes on with what it has read."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        (tmp_path / "config.yaml").unlink()
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "cannot be read" in gateway.log, "it is reported")
        assert _offers(gateway, "a")


def test_what_only_a_restart_can_change_is_said(tmp_path: Path) -> None:
    """A new number of workers is not taken; the log says so, and the rest of the file is taken."""
    warning = "host, port and workers change with a restart only"
    with Gateway(zoo(animal("a", "tame"), workers=2), workers=None, directory=tmp_path) as gateway:
        gateway.configure(zoo(animal("b", "tame"), workers=2))
        _reload(gateway)
        assert warning not in gateway.log
        gateway.configure(zoo(animal("c", "tame"), workers=3))
        _reload(gateway)
        assert warning in gateway.log
        wait_until(lambda: _offers(gateway, "c"), "the new server is offered")
        assert len(gateway.pids("worker")) == 2


def test_a_reload_that_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    """When the place of the next edition cannot be made, the old one goes on; later it works."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        (gateway.runtime_dir / "g2").write_text("in the way")
        gateway.configure(zoo(animal("b", "tame")))
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "the reload failed" in gateway.log, "it is reported")
        assert _offers(gateway, "a")
        _reload(gateway)
        wait_until(lambda: _offers(gateway, "b"), "the file is taken")


def test_new_processes_that_do_not_come_to_serve_are_given_up(tmp_path: Path) -> None:
    """When the next workers cannot work, here for want of descriptors, the old ones stay."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        before = gateway.pids("worker")
        highest = max(int(path.name) for path in Path(f"/proc/{gateway.pid}/fd").iterdir())
        old = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (highest + 4, old[1]))
        gateway.configure(zoo(animal("b", "tame")))
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "do not come to serve" in gateway.log, "it is reported")
        assert _offers(gateway, "a")
        assert gateway.pids("worker") == before
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, old)
        _reload(gateway)
        wait_until(lambda: _offers(gateway, "b"), "the file is taken")
        wait_until(lambda: len(descendants(gateway.pid)) == 4, "no process is left over")


class _Callers:
    """Threads that call on kept and on fresh connections, and note every failure."""

    def __init__(self, port: int, tool: str) -> None:
        self._port = port
        self._tool = tool
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=run) for run in (self._keep, self._renew) for _ in range(4)
        ]
        self.failures: list[str] = []
        self.answered = 0

    def __enter__(self) -> "_Callers":
        for thread in self._threads:
            thread.start()
        self.flow()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def flow(self) -> None:
        """Wait until 100 more calls have been answered."""
        enough = self.answered + 100
        wait_until(lambda: self.answered >= enough, "calls are answered")

    def _renew(self) -> None:
        while not self._over.is_set():
            with self._noting(), McpClient(self._port) as client:
                self._call(client)

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._noting(), McpClient(self._port) as client:
                while not self._over.is_set():
                    self._call(client)

    def _call(self, client: McpClient) -> None:
        assert client.call(self._tool, text="x") == "x"
        self.answered += 1

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, CallFailed) as error:
            self.failures.append(repr(error))


@pytest.mark.parametrize(("workers", "pure"), [(1, False), (4, False), (2, True)])
def test_no_call_fails_across_reloads(tmp_path: Path, workers: int, pure: bool) -> None:
    """Calls on fresh and on kept connections all succeed while the configuration changes."""
    first, second = zoo(animal("a", "tame")), zoo(animal("a", "tame"), animal("b", "tame"))
    with Gateway(first, workers=workers, pure=pure, directory=tmp_path) as gateway:
        with _Callers(gateway.port, "a__echo") as callers:
            for config in (second, first, second):
                gateway.configure(config)
                _reload(gateway)
                callers.flow()
        assert callers.failures == []


def test_a_call_under_way_outlives_a_reload(tmp_path: Path) -> None:
    """A slow call is answered by the server that it was sent to, although that one is replaced."""
    with Gateway(None, directory=tmp_path) as gateway, McpClient(gateway.port) as client:
        client.send("tools/call", name="demo-calc__slow", arguments={"ms": 2000})
        _reload(gateway)
        assert said(*client.receive()) == "answered after 2000 ms"


def test_a_reload_that_comes_during_another_is_not_lost(tmp_path: Path) -> None:
    """While calls on the old configuration finish, a newer file is asked for: it is taken, too."""
    config = zoo(animal("a", "deaf"), timeout="300s", shutdown_timeout="2s")
    with Gateway(config, directory=tmp_path) as gateway, McpClient(gateway.port) as client:
        client.send("tools/call", name="a__act", arguments={})
        gateway.configure(zoo(animal("b", "tame")))
        _reload(gateway)
        gateway.configure(zoo(animal("c", "tame")))
        gateway.send(signal.SIGHUP)
        wait_until(lambda: _offers(gateway, "c"), "the newest file is taken")


def test_sessions_ended_around_a_reload_stay_ended(tmp_path: Path) -> None:
    """What DELETE ended is refused by the next workers, also when an old worker took the DELETE."""
    over = threading.Event()
    ended: list[str | None] = []

    def end_sessions() -> None:
        while not over.is_set():
            with McpClient(gateway.port) as client:
                client.initialize()
                assert client.end_session() == 200
                ended.append(client.session)

    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        ending = threading.Thread(target=end_sessions)
        ending.start()
        wait_until(lambda: len(ended) > 20, "sessions are ended")
        _reload(gateway)
        over.set()
        ending.join()
        for session in ended:
            with McpClient(gateway.port, session) as client:
                assert client.request("ping")[0] == 404


def _descriptors(gateway: Gateway) -> int:
    return len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))


def test_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    """Descriptors, processes and directories of old editions are gone when their drain is over."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        _reload(gateway)
        wait_until(lambda: len(list(gateway.runtime_dir.glob("g*"))) == 1, "one directory")
        before = _descriptors(gateway)
        for _ in range(3):
            _reload(gateway)
            wait_until(lambda: len(list(gateway.runtime_dir.glob("g*"))) == 1, "one directory")
        wait_until(lambda: _descriptors(gateway) == before, "no descriptor is left open")
        wait_until(
            lambda: len(descendants(gateway.pid)) == 4, "control, host, worker and the server alone"
        )


def test_the_banner_is_shown_once(tmp_path: Path) -> None:
    """A reload is a line in the log, not a second start."""
    with Gateway(None, directory=tmp_path) as gateway:
        _reload(gateway)
        gateway.wait_up()
        assert gateway.log.count("Ctrl-C to stop") == 1


def test_status_and_admin_follow_the_reload(tmp_path: Path) -> None:
    """The command line and the data port both speak of the new configuration."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        gateway.configure(zoo(animal("b", "tame")))
        _reload(gateway)
        gateway.wait_up("b")
        listed = gateway.command("list", "--json", "--port", str(gateway.port))["data"]
        assert [server["id"] for server in listed] == ["b"]
        status, body = gateway.get("/api/v1/admin/servers")
        assert status == 200
        assert [server["id"] for server in json.loads(body)["servers"]] == ["b"]
