"""kill -9 while servers' questions to their clients are open: nothing is left of them."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from only1mcp.transports.stdio import descendants
from tests.support import asking_child
from tests.support.event_client import PostStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.processes import Herd
from tests.support.waiting import wait_until

CALLS, SPARE = 6, 1
"""Of modern clients, and of legacy ones; a process that listed the tools for such clients."""
CAPABILITIES = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Run a gateway with two workers."""
    config: dict[str, Any] = {
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [{"id": "asks", "command": sys.executable, "args": [asking_child.__file__]}],
    }
    with Gateway(config, workers=2) as gateway:
        yield gateway


class Storm:
    """Calls that all wait for what their clients were asked."""

    def __init__(self, gateway: Gateway, stack: contextlib.ExitStack) -> None:
        self._port = gateway.port
        self.states = [self.park() for _ in range(CALLS)]
        assert all(isinstance(state, str) for state in self.states)
        self.sessions = []
        for _ in range(CALLS):
            with McpClient(self._port) as client:
                self.sessions.append(str(client.initialize(elicitation={}).session))
            call = PostStream(self._port, self.sessions[-1], "tools/call", name="asks__ask")
            stack.enter_context(call).until("elicitation/create")

    def park(self, **more: Any) -> Any:
        """Call as a modern client; returns what it takes to go on, or the error."""
        params = {"name": "asks__ask", "_meta": CAPABILITIES, **more}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = modern_headers("tools/call", "asks__ask")
        with McpClient(self._port) as client:
            _, raw = client.exchange("POST", json.dumps(body).encode(), headers)
        message = json.loads(raw)
        return message["result"]["requestState"] if "result" in message else message["error"]

    def end_sessions(self) -> None:
        """Let the legacy clients leave."""
        for session in self.sessions:
            with McpClient(self._port, session) as client:
                assert client.end_session() == 200

    def all_have_ended(self) -> bool:
        """Say whether each modern client is told that its call has ended."""
        answers = {"q1": {"action": "accept", "content": {}}}
        told = [self.park(requestState=one, inputResponses=answers) for one in self.states]
        return all(isinstance(error, dict) for error in told)


def children(gateway: Gateway) -> int:
    """Return how many processes the host runs."""
    return len(descendants(gateway.pids("host")[0]))


def replaced(gateway: Gateway, role: str) -> None:
    """Kill all processes of a role and wait for their successors."""
    before = gateway.pids(role)
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def is_replaced() -> bool:
        rows = [row for (kind, _), row in gateway.processes().items() if kind == role]
        return len(rows) == len(before) and all(
            row["state"] == "ready" and row["pid"] not in before for row in rows
        )

    wait_until(is_replaced, f"the next {role}")
    gateway.wait_up()


def test_killed_workers_leave_no_question_behind(gateway: Gateway) -> None:
    """Connections of single calls end; those of sessions are good for the next call."""
    with contextlib.ExitStack() as stack:
        storm = Storm(gateway, stack)
        assert children(gateway) >= 2 * CALLS + 1
        replaced(gateway, "worker")
        wait_until(lambda: children(gateway) <= CALLS + 1 + SPARE, "the processes of calls end")
        cancelled = "stderr: notifications/cancelled"
        wait_until(lambda: gateway.log.count(cancelled) >= 2 * CALLS, "each call is cancelled")
        assert storm.all_have_ended()
        storm.end_sessions()
        wait_until(lambda: children(gateway) <= 1 + SPARE, "the processes of sessions end")


def test_a_killed_host_leaves_no_question_behind(gateway: Gateway) -> None:
    """Its processes are gone, its calls have failed, and what is asked next is answered."""
    with contextlib.ExitStack() as stack:
        storm = Storm(gateway, stack)
        herd = stack.enter_context(Herd.below(gateway.pids("host")[0]))
        replaced(gateway, "host")
        herd.wait_gone(10.0)
        assert children(gateway) <= 1 + SPARE
        assert storm.all_have_ended()
        storm.end_sessions()
        assert isinstance(storm.park(), str)
