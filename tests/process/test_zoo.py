"""Servers that misbehave: each costs its own tools, and nobody else's."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from only1mcp.transports.stdio import descendants
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, CallFailed, McpClient, modern_headers, said
from tests.support.processes import Herd
from tests.support.waiting import wait_until
from tests.support.zoo import FLOOD_LINES, animal, zoo


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory in which servers keep their journals."""
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def gateway(journals: Path) -> Iterator[Gateway]:
    """Run the whole zoo behind four workers."""
    config = zoo(
        animal("tame", "tame", journals / "tame"),
        animal("silent", "silent"),
        animal("deaf", "deaf", timeout="500ms"),
        animal("babbler", "babbler"),
        animal("whale", "whale"),
        animal("flood", "flood"),
        animal("quitter", "quitter"),
        animal("crash", "crash", journals / "crash"),
        animal("parent", "parent", journals / "parent"),
        {"id": "missing", "command": "/nonexistent/server"},
        {"id": "nobody", "url": "http://127.0.0.1:9/mcp"},
        handshake_timeout="500ms",
    )
    config["stdio"]["allowed_commands"].append("/nonexistent/server")
    with Gateway(config, workers=4, wait_for=["tame", "babbler", "parent", "flood"]) as gateway:
        yield gateway


def _server_log(gateway: Gateway, server_id: str) -> list[str]:
    """Return the messages in the log that are tagged with a server."""
    lines = [json.loads(line) for line in gateway.log.splitlines() if line[:1] == "{"]
    return [line["msg"] for line in lines if line.get("server") == server_id]


def test_good_servers_list_and_answer_whatever_the_others_do(gateway: Gateway) -> None:
    """The merged list holds the tools of all that could say theirs, and calls work."""
    with McpClient(gateway.port) as client:
        offered = {tool.partition("__")[0] for tool in client.tools()}
        assert offered == {"tame", "deaf", "babbler", "whale", "flood", "quitter", "parent"}
        for server_id in ("tame", "babbler", "whale", "flood", "quitter", "parent"):
            assert client.call(f"{server_id}__echo", text="hello") == "hello"


def test_a_message_laid_out_in_lines_cannot_smuggle_another_one(gateway: Gateway) -> None:
    """A stdio server reads one message, whatever a line of it looks like, and answers it."""
    inner = json.dumps({"jsonrpc": "2.0", "id": "mine", "method": "tools/list", "params": {}})
    params = {"name": "tame__echo", "arguments": {"text": "hello"}, "_meta": {**META, "x": ["in"]}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    text = json.dumps(body, indent=1).replace('"in"', f"\n{inner}\n")
    before = gateway.server("tame")["pid"]
    with McpClient(gateway.port) as client:
        headers = modern_headers("tools/call", "tame__echo")
        response, answer = client.exchange("POST", text.encode(), headers)
        assert said(response.status, json.loads(answer)) == "hello"
        assert client.call("tame__whoami") == str(before)


def test_there_is_one_process_for_a_server_however_many_workers(
    gateway: Gateway, journals: Path
) -> None:
    """Fresh connections reach all four workers, and one and the same server process."""
    pids = set()
    for _ in range(40):
        with McpClient(gateway.port) as client:
            pids.add(client.call("tame__whoami"))
    assert pids == {str(gateway.server("tame")["pid"])}
    assert (journals / "tame").read_text().count("start") == 1


def test_a_server_that_crashes_at_start_is_parked(gateway: Gateway, journals: Path) -> None:
    """After six vain starts it is tried rarely; its last words say why."""
    wait_until(lambda: gateway.server("crash")["state"] == "parked", "it is parked")
    status = gateway.server("crash")
    assert "exited with code 1" in status["detail"]
    assert "no licence found" in status["detail"]
    assert (journals / "crash").read_text().count("start") == 6
    assert "stderr: no licence found" in _server_log(gateway, "crash")


def test_a_server_that_is_parked_is_shown_with_the_time_of_its_next_start(gateway: Gateway) -> None:
    """In the place of a breaker, which a process that runs alone does not have."""
    wait_until(lambda: gateway.server("crash")["state"] == "parked", "it is parked")
    seconds = wait_until(lambda: gateway.server("crash")["next_start_in_s"], "it waits")
    assert 0 < seconds <= 60
    assert gateway.server("tame")["next_start_in_s"] is None
    pattern = r"(?m)^crash .* parked .*exited with code 1.*; next start in \d+ s$"

    def shown() -> object:
        return re.search(pattern, gateway.run("status", "--port", str(gateway.port))[1])

    wait_until(shown, "the command shows it")


def test_servers_that_never_come_up_are_down_with_the_reason(gateway: Gateway) -> None:
    """Silence, a missing program and a closed port are told apart."""
    wait_until(lambda: gateway.server("silent")["state"] in ("down", "parked"), "it is down")
    assert "did not answer" in gateway.server("silent")["detail"]
    assert "No such file" in gateway.server("missing")["detail"]
    assert gateway.server("nobody")["state"] == "down"
    assert "cannot be reached" in gateway.server("nobody")["detail"]


def test_calls_to_servers_that_are_not_up_fail_at_once_with_the_reason(gateway: Gateway) -> None:
    """Nobody waits for a server that is known to be down: its tools are not even known."""
    with McpClient(gateway.port) as client:
        for server_id in ("silent", "crash", "missing", "nobody"):
            status, message = client.request("tools/call", name=f"{server_id}__x", arguments={})
            assert (status, message["error"]["code"]) == (200, 32001)
            assert f"server {server_id} is not up" in message["error"]["message"]


def test_a_call_that_is_never_answered_ends_at_its_timeout(gateway: Gateway) -> None:
    """The caller hears of it, and the other servers' callers do not wait behind it."""
    with McpClient(gateway.port) as stuck, McpClient(gateway.port) as client:
        stuck.send("tools/call", name="deaf__act", arguments={})
        assert client.call("tame__echo", text="not stuck") == "not stuck"
        _, message = stuck.receive()
        assert message["error"]["code"] == 32002
        assert "server deaf did not answer within 0.5 s" in message["error"]["message"]


def test_a_server_that_exits_in_a_call_fails_that_call_and_comes_back(gateway: Gateway) -> None:
    """The caller is told, and the next process of the server serves the next call."""
    before = gateway.server("quitter")
    with McpClient(gateway.port) as client:
        with pytest.raises(CallFailed, match="exited with code 7 during the call"):
            client.call("quitter__act")
        wait_until(lambda: gateway.server("quitter")["restarts"] > before["restarts"], "a restart")
        gateway.wait_up("quitter")
        assert client.call("quitter__whoami") == str(gateway.server("quitter")["pid"])
        assert gateway.server("quitter")["pid"] != before["pid"]


def test_a_line_that_is_too_long_ends_nothing_but_its_call(gateway: Gateway) -> None:
    """Which fails with the reason; the server and the host go on."""
    before = gateway.pids("host"), gateway.server("whale")["pid"]
    with McpClient(gateway.port) as client:
        with pytest.raises(CallFailed, match="bytes, which is too large"):
            client.call("whale__act")
        assert client.call("whale__echo", text="small") == "small"
    assert (gateway.pids("host"), gateway.server("whale")["pid"]) == before


def test_noise_on_standard_output_is_logged_and_skipped(gateway: Gateway) -> None:
    """Lines that are no messages cost nothing but a warning, and not one for each line."""
    with McpClient(gateway.port) as client:
        for number in range(30):
            assert client.call("babbler__echo", text=str(number)) == str(number)
    warnings = [msg for msg in _server_log(gateway, "babbler") if "not an MCP message" in msg]
    assert 1 <= len(warnings) <= 3


def test_a_flood_on_standard_error_is_logged_up_to_a_bound(gateway: Gateway) -> None:
    """The first lines are in the log, tagged with the server; then one line says that it is cut."""
    said = [msg for msg in _server_log(gateway, "flood") if msg.startswith("stderr: ")]
    assert said[0] == "stderr: drop 0"
    assert said[-1] == "stderr: no more of it is logged in this minute"
    assert len(said) < FLOOD_LINES
    assert max(map(len, gateway.log.splitlines())) < 8000


def test_a_daemon_that_outlives_its_server_harms_nobody(gateway: Gateway, journals: Path) -> None:
    """It holds the dead server's pipes open; its successor and its neighbours work all the same."""
    with Herd(descendants(gateway.pids("host")[0])), McpClient(gateway.port) as client:
        for _ in range(3):
            before = gateway.server("parent")["pid"]
            daemons = (journals / "parent").read_text().count("daemon")
            with pytest.raises(CallFailed, match="exited with code 7"):
                client.call("parent__act")
            wait_until(
                lambda: (now := gateway.server("parent"))["state"] == "up" and now["pid"] != before,  # noqa: B023
                "the next life of the server",
            )
            wait_until(
                lambda: (journals / "parent").read_text().count("daemon") > daemons,  # noqa: B023
                "its own daemon",
            )
            for server_id in ("parent", "tame", "babbler", "quitter"):
                assert client.call(f"{server_id}__echo", text="well") == "well"


def _measure(gateway: Gateway) -> tuple[int, int]:
    """Return how many descriptors the host has open, and how much memory of its own, in KiB."""
    host = Path(f"/proc/{gateway.pids('host')[0]}")
    status = dict(line.split(":", 1) for line in (host / "status").read_text().splitlines())
    return len(list((host / "fd").iterdir())), int(status["RssAnon"].split()[0])


def test_restarts_and_large_answers_do_not_make_the_host_grow() -> None:
    """After some rounds of crashes and overlong lines it holds what it held after the first."""
    config = zoo(animal("a", "tame"), animal("whale", "whale"), animal("quitter", "quitter"))
    with Gateway(config) as gateway, McpClient(gateway.port) as client:
        measured = []
        for _ in range(4):
            for tool in ("whale__act", "quitter__act"):
                with pytest.raises(CallFailed):
                    client.call(tool)
            gateway.wait_up()
            measured.append(_measure(gateway))
        files = measured[0][0]  # the last may have seen a process that was about to be replaced
        wait_until(lambda: _measure(gateway)[0] <= files, "no more descriptors than at first")
    line = 16 * 1024  # KiB: the longest, whose room the allocator keeps for the next
    assert measured[3][1] < measured[0][1] + 2 * line


def test_many_callers_of_a_dying_server_all_get_an_answer() -> None:
    """Each of them is told of the end of the process, or answered by the next one."""
    with Gateway(zoo(animal("q", "quitter")), workers=2) as gateway:
        outcomes: list[str] = []

        def call(tool: str) -> None:
            with McpClient(gateway.port) as client:
                try:
                    outcomes.append(client.call(tool))
                except CallFailed as error:
                    outcomes.append(str(error))

        tools = ["q__act"] + ["q__whoami"] * 30
        threads = [threading.Thread(target=call, args=(tool,)) for tool in tools]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == len(tools)
        assert all(text.isdigit() or "3200" in text for text in outcomes)
