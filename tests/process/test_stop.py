"""SIGTERM, Ctrl-C and `only1mcp stop`: what is under way is finished, and nothing is left."""

import contextlib
import http.client
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient, said
from tests.support.processes import Herd
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _journal(path: Path) -> list[str]:
    """Return the words of a journal, pids left out."""
    return [line.split()[0] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("workers", "pure", "terminal"),
    [(1, False, False), (4, False, True), (4, False, False), (1, True, True)],
)
def test_a_stop_finishes_what_is_under_way_and_leaves_nothing(
    workers: int, pure: bool, terminal: bool
) -> None:
    """Slow calls get their answers while new clients are refused; then all of it is gone."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Gateway(None, workers=workers, pure=pure))
        ours = {row["pid"] for row in gateway.status()["processes"]}
        herd = stack.enter_context(Herd.below(gateway.pid))
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(6)]
        for number, client in enumerate(clients):
            wait_ms = 1500 + number
            client.send("tools/call", name="demo-calc__slow", arguments={"ms": wait_ms})
        if terminal:
            gateway.interrupt()
        else:
            gateway.send(signal.SIGTERM)
        wait_until(lambda: _refuses(gateway.port), "new connections are refused")
        assert gateway.pid in herd.alive
        for number, client in enumerate(clients):
            assert said(*client.receive()) == f"answered after {1500 + number} ms"
        assert gateway.wait() == (130 if terminal else 143)
        herd.wait_gone(1.0)
        assert ours < herd.pids  # the stdio servers are not among ours
        assert not gateway.runtime_dir.exists()  # nobody will look for it on that port again
        assert "Traceback" not in gateway.log


def test_servers_are_ended_by_closing_their_input(tmp_path: Path) -> None:
    """A server that ends with its input is given the time to do so."""
    journal = tmp_path / "journal"
    with Gateway(zoo(animal("a", "tame", journal)), directory=tmp_path) as gateway:
        assert gateway.stop() == 143
    assert _journal(journal) == ["start", "end"]


def test_a_stubborn_server_is_killed_in_the_end(tmp_path: Path) -> None:
    """First its input is closed, then SIGTERM follows, and SIGKILL when neither helps."""
    journal = tmp_path / "journal"
    with (
        Gateway(zoo(animal("a", "stubborn", journal)), directory=tmp_path) as gateway,
        Herd.below(gateway.pid) as herd,
    ):
        assert gateway.stop() == 143
        assert _journal(journal) == ["start", "eof", "term"]
        herd.wait_gone(1.0)


def test_daemons_of_servers_end_with_the_gateway(tmp_path: Path) -> None:
    """A process that forked twice and left its session is found and ended as well."""
    journal = tmp_path / "journal"
    with Gateway(zoo(animal("a", "parent", journal)), directory=tmp_path) as gateway:
        daemon = int(wait_until(journal.read_text, "the daemon").split()[1])
        with Herd([daemon]) as herd:
            assert herd.alive
            assert gateway.stop() == 143
            herd.wait_gone(1.0)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(tmp_path: Path, first: signal.Signals) -> None:
    """Whoever does not want to wait for a call that hangs asks again."""
    config = zoo(animal("a", "deaf"), shutdown_timeout="300s", timeout="300s")
    with (
        Gateway(config, workers=2, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
        Herd.below(gateway.pid) as herd,
    ):
        client.send("tools/call", name="a__act", arguments={})
        gateway.send(first)
        wait_until(lambda: _refuses(gateway.port), "new connections are refused")
        assert gateway.pid in herd.alive
        gateway.send(signal.SIGINT)
        assert gateway.wait() == 128 + first
        herd.wait_gone(2.0)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            client.receive()
        assert not gateway.runtime_dir.joinpath("supervisor.json").exists()


def test_a_drain_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    """After the configured time the gateway ends although a call hangs."""
    config = zoo(animal("a", "deaf"), shutdown_timeout="200ms", timeout="300s")
    with (
        Gateway(config, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
        Herd.below(gateway.pid) as herd,
    ):
        client.send("tools/call", name="a__act", arguments={})
        assert gateway.stop() == 143
        herd.wait_gone(1.0)
        assert "requests were cut off" in gateway.log


@pytest.mark.parametrize("workers", [1, 4])
def test_idle_connections_do_not_delay_a_stop(tmp_path: Path, workers: int) -> None:
    """Clients that keep their connection without a request are let go at once."""
    config = zoo(animal("a", "tame"), shutdown_timeout="300s")
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Gateway(config, workers=workers, directory=tmp_path))
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(8)]
        for client in clients[:4]:
            assert client.call("a__echo", text="then nothing more") == "then nothing more"
        for client in clients[4:]:
            client.http.connect()
        assert gateway.stop() == 143
        assert [client.http.sock.recv(1) for client in clients] == [b""] * 8


def test_a_large_answer_goes_out_in_whole_to_a_slow_reader(tmp_path: Path) -> None:
    """The gateway stays until a client has taken the answer that it was given."""
    with Gateway(None, directory=tmp_path) as gateway, McpClient(gateway.port) as client:
        client.http.connect()
        client.http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        client.send("tools/call", name="demo-calc__big", arguments={"kb": 1024})
        gateway.send(signal.SIGTERM)
        wait_until(lambda: _refuses(gateway.port), "new connections are refused")
        assert len(said(*client.receive())) == 1024 * 1024
        assert gateway.wait() == 143


class _Caller(threading.Thread):
    """Calls `clerk__act` on one connection after the other, until none is to be had."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.answered = 0
        self.dropped = 0
        self.problem: Exception | None = None

    def run(self) -> None:
        """Keep each connection as long as it lives."""
        try:
            while True:
                with McpClient(self._port) as client:
                    self._use(client)
        except ConnectionRefusedError:
            pass  # the gateway has stopped listening
        except Exception as error:  # noqa: BLE001 - the test's thread looks at it
            self.problem = error

    def _use(self, client: McpClient) -> None:
        self._connect(client)
        try:
            while True:
                assert client.call("clerk__act") == "done"
                self.answered += 1
                if client.http.sock is None:  # the answer said `Connection: close`
                    return
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.dropped += 1

    @staticmethod
    def _connect(client: McpClient) -> None:
        """Connect; whom no worker accepted before the listener closed, the kernel resets."""
        try:
            client.http.connect()
        except ConnectionResetError as error:
            raise ConnectionRefusedError from error


@pytest.mark.parametrize(("workers", "pure"), [(1, False), (4, False), (1, True)])
def test_no_call_is_lost_or_cut_during_a_stop(tmp_path: Path, workers: int, pure: bool) -> None:
    """Every call that ran was answered in whole, and connections close only between answers."""
    journal = tmp_path / "journal"
    config = zoo(animal("clerk", "clerk", journal))
    with Gateway(config, workers=workers, pure=pure, directory=tmp_path) as gateway:
        callers = [_Caller(gateway.port) for _ in range(8)]
        for caller in callers:
            caller.start()
        wait_until(lambda: min(caller.answered for caller in callers) > 20, "calls are going on")
        assert gateway.stop() == 143
        for caller in callers:
            caller.join()
        assert [caller.problem for caller in callers] == [None] * 8
        assert sum(caller.answered for caller in callers) == len(_journal(journal))
