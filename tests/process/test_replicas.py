"""A program of several processes: shared out, killed, hung, changed in number, and listened to."""

import json
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_instance_kills import Load
from tests.support import replica_child
from tests.support.event_client import EventStream, Subscription
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, CallFailed, McpClient, modern_headers, said
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until

CHANGED, UPDATED = "notifications/tools/list_changed", "notifications/resources/updated"
ROUTING = {"algorithm": "round_robin"}
PURE = pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])


def config(
    directory: Path, count: int, era: str = "modern", routing: dict[str, Any] = ROUTING,
    **proxy: Any,
) -> dict[str, Any]:  # fmt: skip
    """Declare the program `s` of so many processes."""
    (directory / "ran").touch()
    python = sys.executable
    return {
        "proxy": {"routing": routing, "shutdown_timeout": "10s", **proxy},
        "stdio": {"allowed_commands": [python]},
        "servers": [
            {"id": "s", "command": python, "replicas": count,
             "args": [replica_child.__file__, era, str(directory)]}
        ],
    }  # fmt: skip


def replicas(gateway: Gateway) -> list[dict[str, Any]]:
    """Return what is said of each process."""
    found: list[dict[str, Any]] = gateway.server("s").get("instances", [])
    return found


def pids(gateway: Gateway) -> list[int]:
    """Return the processes, in order."""
    return [one["pid"] for one in replicas(gateway)]


def all_up(gateway: Gateway, count: int) -> list[int]:
    """Wait until so many processes are up; return them."""

    def up() -> bool:
        return [one.get("state") for one in replicas(gateway)] == ["up"] * count

    wait_until(up, f"{count} processes")
    return pids(gateway)


def ask(client: McpClient, count: int, tool: str = "look") -> Counter[int]:
    """Call; return who answered how often."""
    return Counter(int(client.call(f"s__{tool}", n=n)) for n in range(count))


@PURE
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_calls_are_shared_out_among_the_processes(tmp_path: Path, pure: bool, era: str) -> None:
    """By the same algorithms as among addresses; each is shown with what it does."""
    with Gateway(config(tmp_path, 3, era), pure=pure) as gateway:
        running = all_up(gateway, 3)
        with McpClient(gateway.port) as client:
            if era == "legacy":
                client.initialize()
                (one,) = ask(client, 9)  # sessions are sticky
                assert one in running
                return
            assert ask(client, 9) == dict.fromkeys(running, 3)
            client.send("tools/call", name="s__wait", arguments={"n": 1})
            wait_until(lambda: sum(one["in_flight"] for one in replicas(gateway)) == 1, "the call")
            (tmp_path / "go1").touch()
            client.receive()
        shown = replicas(gateway)
        assert [one["replica"] for one in shown] == [1, 2, 3]
        assert {(one["state"], one["health"], one["breaker"], one["in_flight"], one["weight"])
                for one in shown} == {("up", "up", "closed", 0, 1)}  # fmt: skip
        assert gateway.run("status", "--port", str(gateway.port))[1].count("closed") == 3


@pytest.mark.skipif(os.environ.get("ONLY1MCP_PURE") == "1", reason="the lane is compiled only")
def test_plain_calls_to_several_processes_take_the_lane(tmp_path: Path) -> None:
    """Their requests are named by the lane in the log."""
    with Gateway(config(tmp_path, 2)) as gateway, McpClient(gateway.port) as client:
        running = all_up(gateway, 2)
        assert set(ask(client, 20)) == set(running)
        in_lane = "worker-0-f"  # which writes few lines in one go

        def is_told() -> bool:
            return bool(ask(client, 1)) and in_lane in gateway.log

        wait_until(is_told, "a line of the lane's")


@PURE
def test_a_killed_process_loses_its_calls_and_no_others(tmp_path: Path, pure: bool) -> None:
    """What may have run is not run again, what is safe is; the next ones go to the others."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(config(tmp_path, 3), pure=pure))
        running = all_up(gateway, 3)
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(6)]
        for n, client in enumerate(clients):
            tool = "wait" if n < 3 else "wait_safely"
            client.send("tools/call", name=f"s__{tool}", arguments={"n": n})
            wait_until(lambda n=n: len(ran(tmp_path)) == n + 1, "the call")  # type: ignore[misc]
        assert Counter(pid for _, pid, _ in ran(tmp_path)) == dict.fromkeys(running, 2)
        os.kill(running[0], signal.SIGKILL)
        other = stack.enter_context(McpClient(gateway.port))
        assert running[0] not in ask(other, 8)
        for n in range(6):
            (tmp_path / f"go{n}").touch()
        messages = [client.receive()[1] for client in clients]
        lost = [n for n, message in enumerate(messages) if "error" in message]
        victims = [n for tool, pid, n in ran(tmp_path) if pid == running[0] and tool == "wait"]
        assert lost == victims
        assert len(lost) == 1
        times = Counter(n for tool, _, n in ran(tmp_path) if tool == "wait")
        assert set(times.values()) == {1}
        after = all_up(gateway, 3)
        assert after[1:] == running[1:]
        assert after[0] != running[0]
        wait_until(lambda: after[0] in ask(other, 6), "calls where it is back")
        assert gateway.server("s")["restarts"] == 1


def ran(directory: Path) -> list[tuple[str, int, int]]:
    """Return what ran: the tool, the process, the number."""
    lines = [line.split() for line in (directory / "ran").read_text().splitlines()]
    return [(tool, int(pid), int(n)) for tool, pid, n in lines if tool.startswith("wait")]


@PURE
def test_no_safe_call_fails_while_processes_are_killed(tmp_path: Path, pure: bool) -> None:
    """One after the other, under load of several workers; nothing else runs twice."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(config(tmp_path, 3), workers=2, pure=pure))
        running = all_up(gateway, 3)
        load = stack.enter_context(Load(gateway.port))
        for place, victim in enumerate(running):
            before = sum(load.answers.values())
            wait_until(lambda b=before: sum(load.answers.values()) > b + 200, "load")  # type: ignore[misc]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda p=place, v=victim: pids(gateway)[p] not in (0, v), "a new one")  # type: ignore[misc]
            all_up(gateway, 3)
    assert load.failures == []
    acted = Counter(line.split()[2] for line in (tmp_path / "ran").read_text().splitlines()
                    if line.startswith("act"))  # fmt: skip
    assert max(acted.values()) == 1
    assert load.acted["well"] > 10


def test_a_process_that_hangs_gets_no_calls_until_it_answers_again(tmp_path: Path) -> None:
    """Its health checks find out; the others go on."""
    health = {"check_interval": "100ms", "timeout": "100ms", "failure_threshold": 2}
    with Gateway(config(tmp_path, 2, health=health)) as gateway, McpClient(gateway.port) as client:
        running = all_up(gateway, 2)
        os.kill(running[0], signal.SIGSTOP)
        wait_until(lambda: replicas(gateway)[0]["health"] == "down", "the verdict")
        assert gateway.server("s")["state"] == "up"
        assert "not answered" in replicas(gateway)[0]["why"]
        assert ask(client, 10) == {running[1]: 10}
        os.kill(running[0], signal.SIGCONT)
        all_up(gateway, 2)
        wait_until(lambda: running[0] in ask(client, 4), "calls where it answers again")
        assert pids(gateway) == running


def test_another_number_of_processes_touches_none_that_stays(tmp_path: Path) -> None:
    """A call on one that goes is answered before it does; none fails under load."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(config(tmp_path, 1), workers=2))
        first = gateway.server("s")["pid"]
        load = stack.enter_context(Load(gateway.port))
        configure(gateway, config(tmp_path, 3))
        running = all_up(gateway, 3)
        assert running[0] == first
        waiting = stack.enter_context(McpClient(gateway.port))
        wait_for_call_at(tmp_path, gateway, waiting, running[2])
        configure(gateway, config(tmp_path, 2))
        herd = stack.enter_context(Herd([running[2]]))
        wait_until(lambda: len(replicas(gateway)) == 2, "two processes")
        assert pids(gateway) == running[:2]
        assert herd.alive == {running[2]}
        for _, _, n in ran(tmp_path):
            (tmp_path / f"go{n}").touch()
        assert waiting.receive()[1]["result"]["content"][0]["text"] == str(running[2])
        herd.wait_gone(PATIENCE_S)
        configure(gateway, config(tmp_path, 1))
        wait_until(lambda: gateway.server("s")["pid"] == first, "one process")
        assert gateway.server("s")["restarts"] == 0
    assert load.failures == []
    assert load.acted["not known"] == 0


def configure(gateway: Gateway, changed: dict[str, Any]) -> None:
    """Write the file and wait until it is in force."""
    gateway.configure(changed)
    assert gateway.command("reload", "--json", "--port", str(gateway.port))["data"]["ok"]


def wait_for_call_at(directory: Path, gateway: Gateway, client: McpClient, pid: int) -> None:
    """Have the client wait for an answer of this process."""
    for n in range(100, 130):
        client.send("tools/call", name="s__wait", arguments={"n": n})
        wait_until(lambda n=n: n in [m for _, _, m in ran(directory)], "the call")  # type: ignore[misc]
        if (("wait", pid, n)) in ran(directory):
            return
        (directory / f"go{n}").touch()
        client.receive()
    raise AssertionError(f"no call reached {pid} of {gateway.server('s')}")


@PURE
def test_a_session_keeps_its_process_as_long_as_that_lives(tmp_path: Path, pure: bool) -> None:
    """And goes on with another when it does not."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(config(tmp_path, 3, "legacy"), workers=2, pure=pure))
        running = all_up(gateway, 3)
        clients = [stack.enter_context(McpClient(gateway.port)).initialize() for _ in range(12)]
        owners = []
        for client in clients:
            (owner,) = ask(client, 5)
            owners.append(owner)
        assert len(set(owners)) > 1
        assert set(owners) <= set(running)
        victim = owners[0]
        os.kill(victim, signal.SIGSTOP)  # it cannot come back before it was looked for elsewhere
        os.kill(victim, signal.SIGKILL)
        for client, owner in zip(clients, owners, strict=True):
            found = set(ask(client, 3))
            assert found == {owner} or owner == victim


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_what_all_processes_say_is_told_once(tmp_path: Path, era: str) -> None:
    """And what one of them says that came later is not missed."""
    with Gateway(config(tmp_path, 3, "legacy")) as gateway, ExitStack() as stack:
        running = all_up(gateway, 3)
        client = stack.enter_context(McpClient(gateway.port))
        heard = Heard(stack.enter_context(listening(gateway, client, era)))
        heard.start()
        for change in range(1, 4):
            with (tmp_path / "resource").open("a") as file:
                file.write("x")
            wait_until(lambda c=change: heard.methods[UPDATED] == c, "the update")  # type: ignore[misc]
        (tmp_path / "tools").write_text("one more")
        wait_until(lambda: heard.methods[CHANGED], "the changed list")
        assert "s__more" in client.tools()
        os.kill(running[0], signal.SIGKILL)
        all_up(gateway, 3)
        before = heard.methods[UPDATED]
        with (tmp_path / "resource").open("a") as file:
            file.write("x")
        wait_until(lambda: heard.methods[UPDATED] > before, "an update after the restart")
        assert heard.methods[CHANGED] < 3  # not by each, however far apart they say it


def listening(gateway: Gateway, client: McpClient, era: str) -> EventStream:
    """Return a stream that tells of the resource and of tools."""
    if era == "modern":
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [replica_child.URI]}
        return Subscription(gateway.port, **wanted)
    client.initialize()
    assert client.request("resources/subscribe", uri=replica_child.URI)[0] == 200
    return EventStream(gateway.port, str(client.session))


class Heard(threading.Thread):
    """Counts what comes on a stream."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__(daemon=True)
        self.methods: Counter[str] = Counter()
        self._stream = stream

    def run(self) -> None:
        """Read until the end."""
        try:
            while (message := self._stream.next()) is not None:
                self.methods[str(message.get("method"))] += 1
        except (OSError, ValueError, AttributeError):  # the test has ended
            return


def test_processes_that_never_start_are_told_of(tmp_path: Path) -> None:
    """Each with its reason; calls fail at once and say so."""
    declared = config(tmp_path, 2)
    declared["servers"][0]["args"] = ["-c", "raise SystemExit('no licence')"]
    with Gateway(declared, wait_for=()) as gateway:
        wait_until(lambda: "no licence" in gateway.server("s")["detail"], "the reason")
        with McpClient(gateway.port) as client, pytest.raises(CallFailed):
            client.call("s__look", n=1)


@PURE
def test_the_calls_of_one_principal_go_to_one_process(tmp_path: Path, pure: bool) -> None:
    """With consistent_hash and hash_key: principal; another's may go to another."""
    routing = {"algorithm": "consistent_hash", "hash_key": "principal", "load_bound": 10}
    declared = config(tmp_path, 3, routing=routing)
    owners = [f"owner{number}" for number in range(12)]
    declared["auth"] = {"keys": [{"id": one, "key_env": f"KEY_{one}"} for one in owners]}
    env = {f"KEY_{one}": secret_of(one) for one in owners}
    with Gateway(declared, workers=2, pure=pure, env=env) as gateway:
        all_up(gateway, 3)
        found = {one: {pid_for(gateway, one) for _ in range(4)} for one in owners}
    assert {len(answered) for answered in found.values()} == {1}
    assert len(set().union(*found.values())) > 1


def secret_of(owner: str) -> str:
    """Return the owner's key."""
    return f"o1_{owner}-0123456789abcdefghijklmnopqrstuvwxyz"


def pid_for(gateway: Gateway, owner: str) -> int:
    """Call in the owner's name; return the process that answered."""
    params = {"name": "s__look", "arguments": {}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = modern_headers("tools/call", "s__look")
    headers["Authorization"] = f"Bearer {secret_of(owner)}"
    with McpClient(gateway.port) as client:
        response, answer = client.exchange("POST", json.dumps(body).encode(), headers)
    return int(said(response.status, json.loads(answer)))
