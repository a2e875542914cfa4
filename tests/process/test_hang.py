"""Processes that live but do nothing: found by their heartbeat, dumped and replaced."""

import contextlib
import http.client
import os
import signal

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

REPLACED_S = 25.0


def _answers(client: McpClient) -> bool:
    """Say whether the worker behind a kept connection answers; a stopped one closes it later."""
    with contextlib.suppress(http.client.RemoteDisconnected, ConnectionResetError):
        status, message = client.receive()
        assert status == 200
        assert message["result"]["content"][0]["text"] == "4"
        return True
    return False


def _are_replaced(gateway: Gateway, stopped: set[int]) -> bool:
    rows = gateway.processes().values()
    return len(rows) == 8 and not stopped & {row["pid"] for row in rows}


def test_stopped_processes_are_replaced_while_traffic_goes_on() -> None:
    """A worker, the control process and the host stop; calls go on, and all three are replaced."""
    with Gateway(None, workers=4) as gateway, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(McpClient(gateway.port)) for _ in range(24)]
        for client in clients:
            assert client.call("demo-calc__add", a=1, b=1) == "2"
        stopped = {gateway.pids(role)[0] for role in ("worker", "control", "host")}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.send("tools/call", name="demo-calc__add", arguments={"a": 2, "b": 2})
        answered = [_answers(client) for client in clients]
        assert 0 < sum(answered) < len(clients)  # three of four workers; the fourth is replaced
        wait_until(lambda: gateway.log.count("hangs; its stacks") == 3, "all found", REPLACED_S)
        wait_until(lambda: _are_replaced(gateway, stopped), "all replaced", REPLACED_S)
        gateway.wait_up()
        with McpClient(gateway.port) as client:
            assert "UTC" in client.call("demo-time__now")
        assert "Fatal Python error: Aborted" in gateway.log


def test_a_stdio_server_that_hangs_fails_calls_at_once_until_it_answers_again() -> None:
    """It is found by its health checks, stays the same process, and costs nobody else anything."""
    config = zoo(
        animal("a", "tame"), animal("b", "tame"), timeout="300s",
        health={"check_interval": "50ms", "timeout": "50ms", "failure_threshold": 2},
    )  # fmt: skip
    with Gateway(config, workers=2) as gateway, McpClient(gateway.port) as client:
        pid = gateway.server("a")["pid"]
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: gateway.server("a")["state"] == "down", "the server is down")
        assert gateway.server("a")["detail"] == "2 health checks in a row were not answered"
        wait_until(lambda: b'server_id="a"} 0' in gateway.get("/metrics")[1], "metrics tell, too")
        with pytest.raises(CallFailed, match="server a is down"):
            client.call("a__echo", text="hello")
        assert client.call("b__echo", text="hello") == "hello"
        os.kill(pid, signal.SIGCONT)
        gateway.wait_up("a")
        assert client.call("a__whoami") == str(pid)
