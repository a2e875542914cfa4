"""Servers come, go and change while the gateway runs: what is kept, what ends, and who is told."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from only1mcp.transports.stdio import descendants
from tests.support.callers import Callers
from tests.support.counting_backend import CountingBackend
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo

CHANGED = "notifications/tools/list_changed"


def _tools(gateway: Gateway) -> set[str]:
    with McpClient(gateway.port) as client:
        return set(client.tools())


def _call(gateway: Gateway, tool: str, **arguments: Any) -> str:
    with McpClient(gateway.port) as client:
        return client.call(tool, **arguments)


def _configure(gateway: Gateway, config: dict[str, Any]) -> None:
    """Write the file and wait until it is in force."""
    gateway.configure(config)
    done = gateway.command("reload", "--json", "--port", str(gateway.port))
    assert done["data"]["ok"], done


def _kill(gateway: Gateway, role: str, index: int = 0) -> None:
    """Kill a process without warning, once there is one."""

    def is_killed() -> bool:
        row = gateway.processes().get((role, index))
        if row is None:
            return False
        try:
            os.kill(row["pid"], signal.SIGKILL)
        except ProcessLookupError:  # the one before, whose end is yet to be noted
            return False
        return True

    wait_until(is_killed, f"the {role}")


def test_a_server_that_did_not_change_keeps_its_process_and_its_state(tmp_path: Path) -> None:
    """Whatever happens around it, its place in the file and its timeout included."""
    kept = animal("kept", "counter")
    with Gateway(zoo(kept, animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        pid = gateway.server("kept")["pid"]
        assert _call(gateway, "kept__act") == "1"
        others = (
            zoo(animal("b", "tame"), kept),
            zoo(kept, timeout="7s", page_size=3, health={"check_interval": "3s"}),
            zoo({**kept, "prefix": "renamed"}, animal("a", "tame", "anew")),
        )
        for config in others:
            _configure(gateway, config)
        wait_until(lambda: "renamed__act" in _tools(gateway), "the new prefix")
        assert _call(gateway, "renamed__act") == "2"
        assert gateway.server("kept")["pid"] == pid
        assert gateway.server("kept")["restarts"] == 0


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("pure", [False, True])
def test_an_http_server_that_did_not_change_sees_no_new_session(
    tmp_path: Path, era: str, pure: bool
) -> None:
    """Calls go on in the session that there was; one whose headers changed gets another."""
    with CountingBackend(era) as backend:
        kept = {"id": "kept", "url": backend.url}
        config = zoo(kept)
        with Gateway(config, workers=2, pure=pure, directory=tmp_path) as gateway:
            for _ in range(8):  # every worker has met it
                assert _call(gateway, "kept__echo", text="x") == "x"
            met, sessions = backend.counts["initialize"], set(backend.sessions)
            _configure(gateway, zoo(animal("a", "tame"), kept))
            _configure(gateway, zoo({**kept, "timeout": "9s", "prefix": "again"}))
            wait_until(lambda: "again__echo" in _tools(gateway), "the new prefix")
            for _ in range(8):
                assert _call(gateway, "again__echo", text="x") == "x"
            assert (backend.counts["initialize"], backend.sessions) == (met, sessions)
            _configure(gateway, zoo({**kept, "headers": {"X-Key": "2"}}))
            assert _call(gateway, "kept__echo", text="x") == "x"
            wait_until(lambda: not sessions & backend.sessions, "the old sessions' end")


def test_a_removed_server_ends_and_an_added_one_serves(tmp_path: Path) -> None:
    """The child of the one ends, with all it left; sessions of clients go on."""
    config = zoo(animal("a", "tame"), animal("b", "tame"))
    with Gateway(config, workers=4, directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            session = client.initialize().session
        removed, kept = gateway.server("a")["pid"], gateway.server("b")["pid"]
        workers = gateway.pids("worker")
        with Herd([removed]) as herd:
            _configure(gateway, zoo(animal("b", "tame"), animal("c", "tame")))
            herd.wait_gone(PATIENCE_S)
        wait_until(lambda: "c__echo" in _tools(gateway), "the new tools")
        with McpClient(gateway.port, session) as client:
            assert client.call("c__echo", text="hello") == "hello"
            with pytest.raises(CallFailed, match="a__echo"):
                client.call("a__echo", text="hello")
        assert gateway.server("b")["pid"] == kept
        assert gateway.pids("worker") == workers


def test_a_call_under_way_is_answered_by_the_server_that_has_it(tmp_path: Path) -> None:
    """The changed server's successor takes what comes later; the old one ends when it is done."""
    gate = tmp_path / "gate"
    with Gateway(zoo(animal("a", "patient", gate)), directory=tmp_path) as gateway:
        old = gateway.server("a")["pid"]
        with Herd([old]) as herd, McpClient(gateway.port) as client:
            client.send("tools/call", name="a__act", arguments={})
            _configure(gateway, zoo(animal("a", "counter")))
            wait_until(lambda: gateway.server("a")["pid"] not in (0, old), "the successor")
            wait_until(lambda: _call(gateway, "a__act") != str(old), "the successor serves")
            assert herd.alive
            gate.touch()
            assert client.receive()[1]["result"]["content"][0]["text"] == str(old)
            herd.wait_gone(PATIENCE_S)


def test_a_changed_server_serves_until_its_successor_has_started(tmp_path: Path) -> None:
    """However long that takes: its tools are there all the time."""
    gate = tmp_path / "gate"
    with Gateway(zoo(animal("a", "counter")), workers=2, directory=tmp_path) as gateway:
        old = gateway.server("a")["pid"]
        _configure(gateway, zoo(animal("a", "late", gate)))
        with McpClient(gateway.port) as client:
            assert [client.call("a__act") for _ in range(3)] == ["1", "2", "3"]
            with Herd([old]) as herd:
                gate.touch()
                herd.wait_gone(PATIENCE_S)
            assert client.call("a__whoami") == str(gateway.server("a")["pid"])


def test_a_call_over_http_under_way_outlives_the_server_s_removal(tmp_path: Path) -> None:
    """In the fast lane as over aiohttp: it is answered, and the server is let go after that."""
    with CountingBackend("modern") as backend, CountingBackend("legacy") as legacy:
        config = zoo({"id": "m", "url": backend.url}, {"id": "l", "url": legacy.url})
        with Gateway(config, directory=tmp_path) as gateway:
            over = threading.Event()
            failures: list[str] = []

            def call() -> None:
                with McpClient(gateway.port) as client:
                    while not over.is_set():
                        for tool in ("m__echo", "l__echo"):
                            try:
                                client.call(tool, text="x")
                            except CallFailed as error:
                                if tool not in str(error):  # it is unknown now, as it should be
                                    failures.append(str(error))

            threads = [threading.Thread(target=call) for _ in range(8)]
            for thread in threads:
                thread.start()
            wait_until(lambda: backend.counts["tools/call"] > 100, "calls are answered")
            _configure(gateway, zoo(animal("a", "tame")))
            over.set()
            for thread in threads:
                thread.join()
            assert failures == []
            wait_until(lambda: not legacy.sessions, "the sessions' end")


def test_clients_on_every_worker_hear_that_lists_have_changed(tmp_path: Path) -> None:
    """When a server goes, when one comes, when one is renamed; what they list then is new."""
    first, second = animal("a", "tame"), animal("b", "tame")
    with Gateway(zoo(first), workers=3, directory=tmp_path) as gateway:
        streams = []
        try:
            for _ in range(6):
                with McpClient(gateway.port) as client:
                    session = client.initialize().session
                assert session
                streams.append(EventStream(gateway.port, session).__enter__().begin())
            for config, tool in (
                (zoo(first, second), "b__echo"), (zoo(second), None),
                (zoo({**second, "prefix": "c"}), "c__echo"),
            ):  # fmt: skip
                gateway.configure(config)
                for stream in streams:
                    stream.until(CHANGED)
                listed = _tools(gateway)
                assert tool in listed if tool else not any(t.startswith("a") for t in listed)
        finally:
            for stream in streams:
                stream.__exit__(None, None, None)


@pytest.mark.parametrize(("workers", "pure"), [(1, False), (4, False), (2, True)])
def test_no_call_fails_across_twenty_reloads(tmp_path: Path, workers: int, pure: bool) -> None:
    """Calls on fresh and on kept connections all succeed, also to the server that changes."""
    with CountingBackend("modern", "legacy") as backend:
        web = {"id": "w", "url": backend.url}
        with Gateway(
            zoo(animal("a", "tame"), web), workers=workers, pure=pure, directory=tmp_path
        ) as gateway:
            with (
                Callers(gateway.port, "a__echo") as stdio,
                Callers(gateway.port, "w__echo") as http,
            ):
                for number in range(20):
                    changed = animal("a", "tame", str(tmp_path / f"j{number}"))
                    more = [animal("b", "tame")] if number % 2 else []
                    headers = {"X-Number": str(number // 2)}
                    _configure(gateway, zoo(changed, {**web, "headers": headers}, *more))
                stdio.flow()
                http.flow()
            assert (stdio.failures, http.failures) == ([], [])
        assert backend.sessions == set()


def test_a_worker_killed_during_a_reload_comes_back_with_the_new_settings(tmp_path: Path) -> None:
    """Again and again; in the end all work by the same, and the tools are those of the file."""
    with Gateway(zoo(animal("a", "tame")), workers=3, directory=tmp_path) as gateway:
        for number in range(6):
            _kill(gateway, "worker", number % 3)
            gateway.configure(zoo(animal(f"s{number}", "tame")))
            gateway.send(signal.SIGHUP)

        def is_everywhere() -> bool:
            status = gateway.status()
            rows = [row for row in status["processes"] if row["role"] in ("worker", "host")]
            serving = {row["settings"] for row in rows if row["state"] == "ready"}
            return len(rows) == 4 and serving == {status["settings"]}

        wait_until(is_everywhere, "all work by the new settings")
        wait_until(lambda: {t.partition("__")[0] for t in _tools(gateway)} == {"s5"}, "the tools")


@pytest.mark.parametrize("role", ["host", "control"])
def test_a_process_killed_during_a_reload_comes_back_with_the_new_settings(
    tmp_path: Path, role: str
) -> None:
    """Control is the one that reloads; its successor goes on with what is in force."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        for number in range(3):
            _kill(gateway, role)
            gateway.configure(zoo(animal(f"s{number}", "tame")))
        wait_until(lambda: {t.partition("__")[0] for t in _tools(gateway)} == {"s2"}, "the tools")


_LOOKS = 25
"""How often the same must be seen in a row to count as settled."""


def _descriptors(pids: list[int]) -> list[int]:
    return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]


def _wait_for_four(gateway: Gateway) -> None:
    """Wait until only control, host, worker and one server are left, and what reads files."""
    try:
        wait_until(lambda: len(descendants(gateway.pid)) - _readers(gateway) == 4, "four processes")
    except TimeoutError as error:
        for pid in descendants(gateway.pid):
            error.add_note(f"{pid} {Path(f'/proc/{pid}/stat').read_text()[:40]}")
        error.add_note(f"{gateway.status()['servers']} {gateway.log[-2000:]}")
        raise


def _readers(gateway: Gateway) -> int:
    """Count the processes that read configurations: at most one, for two minutes."""
    lines = [Path(f"/proc/{pid}/cmdline") for pid in descendants(gateway.pid)]
    found = sum(b"only1mcp.config.reader" in line.read_bytes() for line in lines if line.exists())
    assert found <= 1
    return found


def _settled(pids: list[int]) -> list[int]:
    """Return how many descriptors are open once nothing is closed any more."""
    seen: list[list[int]] = []

    def is_settled() -> bool:
        seen.append(_descriptors(pids))
        return len(seen) > _LOOKS and seen[-_LOOKS:] == [seen[-1]] * _LOOKS

    wait_until(is_settled, "all that ends is closed")
    return seen[-1]


def test_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    """Descriptors and processes of servers that were removed are gone."""
    one, other = zoo(animal("a", "tame")), zoo(animal("a", "tame"), animal("b", "tame"))
    with Gateway(one, directory=tmp_path) as gateway:
        _configure(gateway, other)
        _configure(gateway, one)
        _wait_for_four(gateway)
        pids = [gateway.pid, *gateway.pids("host"), *gateway.pids("worker")]
        before = _settled(pids)
        for _ in range(3):
            _configure(gateway, other)
            _configure(gateway, one)
        _wait_for_four(gateway)
        wait_until(lambda: _descriptors(pids) == before, "no descriptor is left open")
