"""The program is replaced in place: clients, sessions and limits go on, and nobody waits."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.line import line
from only1mcp.supervisor.handover import VARIABLE
from only1mcp.transports.stdio import descendants
from tests.support.callers import Callers
from tests.support.gateway import Gateway
from tests.support.installed import Installed, upgrade
from tests.support.keyed import ENV, Caller, keyed
from tests.support.loop import eventually, on_loop
from tests.support.manager import managed
from tests.support.mcp_client import HEADERS, LEGACY, McpClient
from tests.support.processes import Herd
from tests.support.talker import talker
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """Install this program in a place of its own."""
    return Installed(tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Return a file that calls under way wait for; they wait no longer when the test ends."""
    yield tmp_path / "gate"
    (tmp_path / "gate").touch()


def _failed(said: dict[str, Any]) -> str:
    assert said["error"]["code"] == "UPGRADE_FAILED", said
    message: str = said["error"]["message"]
    return message


def _folders(gateway: Gateway) -> list[str]:
    """Return the folders with the sockets of each program that is there."""
    return [path.name for path in gateway.runtime_dir.glob("g*")]


def test_another_version_takes_over_and_no_call_fails(tmp_path: Path, installed: Installed) -> None:
    """`status` tells of the new one; the old processes end when they have finished."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path, env=installed.env) as one:
        with Callers(one.port, "a__echo") as callers, Herd(descendants(one.pid)) as old:
            for version in ("7.0.1", "7.0.2"):
                installed.install(version)
                said = upgrade(one)["data"]
                assert said["after"]["version"] == version
                assert one.status()["version"] == version
                assert one.status()["pid"] == said["after"]["pid"] != said["before"]["pid"]
                assert one.status()["upgrade"]["ok"] is True
                callers.flow()
            old.wait_gone(PATIENCE_S)
        assert callers.failures == []
        wait_until(lambda: _folders(one) == ["g3"], "the folders of the others are gone")
        assert one.stop() == 143
    assert not list((tmp_path / "run").glob("*/supervisor.json"))


@pytest.mark.parametrize("pure", [False, True])
def test_a_long_call_is_finished_by_the_program_that_took_it(
    tmp_path: Path, gate: Path, pure: bool
) -> None:
    """Its server stays as long; new calls go to a server of the new program."""
    config = zoo(animal("a", "patient", gate), animal("b", "tame"))
    with Gateway(config, workers=2, pure=pure, directory=tmp_path) as gateway:
        server = gateway.server("b")["pid"]
        with McpClient(gateway.port) as client:
            client.send("tools/call", name="a__act", arguments={})
            assert "data" in upgrade(gateway)
            with McpClient(gateway.port) as other:
                assert int(other.call("b__whoami")) == gateway.server("b")["pid"] != server
            gate.touch()
            status, message = client.receive()
            assert (status, "result" in message) == (200, True)


def test_sessions_go_on_and_those_that_ended_stay_ended(tmp_path: Path) -> None:
    """The key that seals them and the list of the ended ones are handed over."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            kept = client.initialize().session
        with McpClient(gateway.port) as client:
            ended = client.initialize().session
            assert client.end_session() == 200
        for _ in range(2):
            assert "data" in upgrade(gateway)
        with McpClient(gateway.port, kept) as client:
            assert client.call("a__echo", text="on") == "on"
            assert client.end_session() == 200
        for session in (kept, ended):
            with McpClient(gateway.port, session) as client:
                assert client.request("ping")[0] == 404


def test_a_session_key_that_could_not_be_written_is_handed_over(tmp_path: Path) -> None:
    """It is nowhere else."""
    (tmp_path / "home").write_text("not a directory")
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            session = client.initialize().session
        assert "data" in upgrade(gateway)
        with McpClient(gateway.port, session) as client:
            assert client.call("a__echo", text="on") == "on"


def test_what_a_key_has_used_of_its_rate_stays_used(tmp_path: Path) -> None:
    """Nobody gains by an upgrade, also when keys change their places in the file."""
    config = keyed(rate_limit={"enabled": True, "requests": 3, "per": "10h"})
    with Gateway(config, directory=tmp_path, env=ENV) as gateway:
        assert [_use(gateway, "ann") for _ in range(4)] == [200, 200, 200, 429]
        config["auth"]["keys"].reverse()
        gateway.configure(config)
        assert "data" in upgrade(gateway)
        assert _use(gateway, "ann") == 429
        assert _use(gateway, "tom") == 200


def _use(gateway: Gateway, owner: str) -> int:
    """Call a tool with somebody's key; returns the HTTP status."""
    with Caller(gateway.port, owner) as caller:
        return caller.modern("tools/call", name="time__now", arguments={})[0]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("\nimport no_such_module\n", "no_such_module"),
        ("\nraise SystemExit('not today')\n", "not today"),
    ],
)
def test_a_program_that_fails_to_start_changes_nothing_and_says_why(
    tmp_path: Path, installed: Installed, broken: str, why: str
) -> None:
    """The old one serves on, tells of it in `status`, and can be upgraded later."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=installed.env) as gateway:
        installed.install("7.0.1", broken=broken)
        with Callers(gateway.port, "a__echo") as callers:
            assert why in _failed_by_hand(gateway)
            callers.flow()
        assert callers.failures == []
        assert gateway.status()["pid"] == gateway.pid
        assert why in gateway.status()["upgrade"]["message"]
        assert why in gateway.log
        installed.install("7.0.2")
        # The command itself is broken for as long as the installed program is.
        assert upgrade(gateway)["data"]["after"]["version"] == "7.0.2"


def _failed_by_hand(gateway: Gateway) -> str:
    """Upgrade by the signal; returns why that failed."""
    gateway.send(signal.SIGUSR1)
    outcome = wait_until(lambda: gateway.status()["upgrade"], "the upgrade ends")
    assert outcome["ok"] is False
    message: str = outcome["message"]
    return message


def test_a_configuration_that_is_not_valid_changes_nothing(tmp_path: Path) -> None:
    """The command says what is wrong with it."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        server = gateway.server("a")["pid"]
        gateway.configure({"servers": 1})
        assert "servers" in _failed(upgrade(gateway))
        with McpClient(gateway.port) as client:
            assert int(client.call("a__whoami")) == server


def test_the_demonstration_does_not_become_something_else_by_an_upgrade(tmp_path: Path) -> None:
    """A configuration was found meanwhile: that is a decision, not a version."""
    with Gateway(None, directory=tmp_path) as gateway:
        found = tmp_path / "only1mcp.yaml"
        found.write_text("version: '1.0'")
        assert "cannot become" in _failed(upgrade(gateway))
        found.unlink()
        assert "data" in upgrade(gateway)


def test_a_new_program_that_dies_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its processes and its folder go with it; the old one can be upgraded again."""
    config = zoo(animal("a", "tame"), animal("b", "late", tmp_path / "gate"))
    with Gateway(config, directory=tmp_path, wait_for=["a"]) as gateway:
        (tmp_path / "gate").touch()
        gateway.wait_up("b")
        (tmp_path / "gate").unlink()  # the new program's own b keeps it from taking over
        gateway.send(signal.SIGUSR1)
        wait_until((gateway.runtime_dir / "g2" / "host.sock").exists, "the new host")
        with Herd.below(gateway.pid) as herd:
            new = _leader_of(gateway)
            os.kill(new, signal.SIGKILL)
            outcome = wait_until(lambda: gateway.status()["upgrade"], "the upgrade ends")
            assert (outcome["ok"], "-9" in outcome["message"]) == (False, True)
            wait_until(lambda: len(herd.alive) < len(herd.pids), "its processes end")
        (tmp_path / "gate").touch()


def _leader_of(gateway: Gateway) -> int:
    """Return the pid of the supervisor that is about to take over."""
    for path in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split():
        environ = Path(f"/proc/{path}/environ").read_bytes()
        if VARIABLE.encode() in environ:
            return int(path)
    raise AssertionError("there is none")


def test_the_anchor_passes_signals_on_and_ends_as_the_gateway_ends(tmp_path: Path) -> None:
    """Whoever started the gateway still holds it by the process that he knows."""
    config = zoo(animal("a", "tame"))
    with Gateway(config, directory=tmp_path) as gateway:
        for _ in range(2):
            assert "data" in upgrade(gateway)
        gateway.configure(zoo(animal("a", "tame"), animal("b", "tame")))
        gateway.send(signal.SIGHUP)
        wait_until(lambda: len(gateway.status()["servers"]) == 2, "the reload")
        with Herd.below(gateway.pid) as herd:
            gateway.interrupt()
            assert gateway.wait() == 130
            herd.wait_gone(PATIENCE_S)


def test_a_gateway_whose_anchor_is_killed_ends(tmp_path: Path) -> None:
    """Who kills the process that he knows wants the gateway gone."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        for _ in range(2):
            assert "data" in upgrade(gateway)
        with Herd.below(gateway.pid) as herd:
            wait_until(lambda: len(herd.alive) < 20, "it has settled")
            os.kill(gateway.pid, signal.SIGKILL)
            herd.wait_gone(PATIENCE_S)


def test_the_service_manager_is_told_of_the_new_process(tmp_path: Path) -> None:
    """The old one says MAINPID and ends; the new one feeds the watchdog."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "400000"}
    with (
        managed(env["NOTIFY_SOCKET"]) as manager,
        Gateway(zoo(animal("a", "tame")), directory=tmp_path, env=env) as gateway,
    ):
        assert manager.next_but_watchdog()["READY"] == "1"
        gateway.send(signal.SIGUSR1)
        told = manager.next_but_watchdog()
        assert told["READY"] == "1"
        after = int(told["MAINPID"])
        assert after != gateway.pid
        with Herd.below(after) as herd:
            ready = manager.next_but_watchdog()
            assert (ready["MAINPID"], ready["READY"]) == (str(after), "1")
            assert gateway.wait() == 0
            assert [manager.next() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
            with McpClient(gateway.port) as client:
                assert client.call("a__echo", text="on") == "on"
            assert gateway.run("stop", "--port", str(gateway.port))[0] == 0
            herd.wait_gone(PATIENCE_S)
            assert manager.next_but_watchdog()["STOPPING"] == "1"


def test_the_demonstration_and_the_number_of_workers_go_on(tmp_path: Path) -> None:
    """Fewer workers than sockets: those that are left serve all of them."""
    with Gateway(None, workers=3, directory=tmp_path) as gateway:
        assert "data" in upgrade(gateway)
        for _ in range(20):
            with McpClient(gateway.port) as client:
                assert client.call("demo-calc__add", a=1, b=2) == "3"
        assert len(gateway.pids("worker")) == 3


def test_fewer_workers_after_an_upgrade_serve_all_sockets(tmp_path: Path) -> None:
    """And more of them open sockets of their own."""
    with Gateway(zoo(animal("a", "tame"), workers=4), workers=None, directory=tmp_path) as gateway:
        for count in (1, 3):
            gateway.configure(zoo(animal("a", "tame"), workers=count))
            wait_until(lambda n=count: len(gateway.pids("worker")) == n, "the reload")  # type: ignore[misc]
            with Callers(gateway.port, "a__echo") as callers:
                assert "data" in upgrade(gateway)
                callers.flow()
            assert callers.failures == []
            assert len(gateway.pids("worker")) == count


@on_loop
async def test_an_answer_to_a_question_reaches_the_program_that_asked(tmp_path: Path) -> None:
    """A client that is asked during its call answers on a connection to the new program."""
    with Gateway(zoo(talker("t")), directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            session = str(client.initialize(elicitation={}).session)
        headers = {**HEADERS, "Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
        async with line(gateway.port) as mine, line(gateway.port) as aside:
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
            await mine.send(headers, {**call, "params": {"name": "t__ask", "arguments": {}}})
            answers = []
            async for message in mine.messages():
                if message.get("method") == "elicitation/create":
                    assert "data" in await asyncio.to_thread(upgrade, gateway)
                    said = {"jsonrpc": "2.0", "id": message["id"], "result": {"action": "decline"}}
                    await aside.send(headers, said)
                    await aside.only()
                    assert aside.status == 202
                elif "id" in message:
                    answers.append(message)
        assert "decline" in answers[0]["result"]["content"][0]["text"]


@on_loop
async def test_a_call_is_cancelled_at_the_program_that_carries_it(tmp_path: Path) -> None:
    """The notification of its client comes to the new program."""
    config = zoo(animal("a", "deaf", tmp_path / "journal"))
    with Gateway(config, directory=tmp_path) as gateway:
        with McpClient(gateway.port) as client:
            session = str(client.initialize().session)
        headers = {**HEADERS, "Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
        async with line(gateway.port) as mine, line(gateway.port) as aside:
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
            await mine.send(headers, {**call, "params": {"name": "a__act", "arguments": {}}})
            await eventually((tmp_path / "journal").exists, "the call is under way")
            assert "data" in await asyncio.to_thread(upgrade, gateway)
            cancel = {"method": "notifications/cancelled", "params": {"requestId": 1}}
            await aside.send(headers, {"jsonrpc": "2.0", **cancel})
            await aside.only()
            assert aside.status == 202
            answers = [message async for message in mine.messages()]
            assert [answer["error"]["code"] for answer in answers] == [-32800]


def test_a_gateway_of_one_client_is_not_upgraded(tmp_path: Path) -> None:
    """It ends with its client, which then starts the new program itself."""
    env = {"ONLY1MCP_RUNTIME_DIR": str(tmp_path / "run"), "ONLY1MCP_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "only1mcp", "start", "--stdio", "--demo"]
    with subprocess.Popen(
        command, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as bridge:  # fmt: skip
        try:
            wait_until(lambda: list((tmp_path / "run").glob("**/control.sock")), "it can be told")
            done = subprocess.run(
                [sys.executable, "-m", "only1mcp", "upgrade"], env={**os.environ, **env},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, "its client's own" in done.stderr) == (1, True), done.stderr
        finally:
            bridge.terminate()
