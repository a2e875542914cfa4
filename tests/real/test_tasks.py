"""Tasks of 2025-11-25, between a real client and a real server."""

import json
import subprocess
from typing import Any

import pytest

from tests.real.http_server import HttpServer
from tests.real.installed import ALLOWED, CLIENTS, FOLDER, NODE, node_server
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.real
TOOL = "simulate-research-query"
RELATED = "io.modelcontextprotocol/related-task"
CLIENT_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def gateway(everything_http: HttpServer) -> Any:
    """Run a gateway of three workers in front of one server on a pipe, and over HTTP."""
    config = {
        "stdio": {"allowed_commands": ALLOWED},
        "proxy": {"handshake_timeout": "30s"},
        "servers": [
            node_server("pipe", "server-everything", "stdio"),
            {"id": "http", "url": everything_http.url},
        ],
    }
    with Gateway(config, workers=3) as running:
        yield running


@pytest.fixture(scope="module", params=["pipe", "http"])
def seen(request: pytest.FixtureRequest, gateway: Gateway) -> dict[str, Any]:
    """Have the SDK's client run the tool as a task, and return what it saw."""
    done = subprocess.run(
        [NODE, str(CLIENTS / "ts_tasks.mjs"), gateway.url, f"{request.param}__{TOOL}"],
        cwd=FOLDER, capture_output=True, text=True, check=False, timeout=CLIENT_TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_a_real_client_takes_a_task_to_its_end(seen: dict[str, Any]) -> None:
    """From its beginning over its states to its result; the id is one of ours throughout."""
    first, *states, last = seen["steps"]
    assert (first["type"], last["type"]) == ("taskCreated", "result")
    assert seen["finished"].startswith("o1t.")
    assert {state["task"]["taskId"] for state in states} == {seen["finished"]}
    assert {state["task"]["status"] for state in states} >= {"working", "input_required"}
    assert last["result"]["_meta"] == {RELATED: {"taskId": seen["finished"]}}


def test_a_task_asks_its_client_while_the_client_waits_for_the_result(
    seen: dict[str, Any],
) -> None:
    """The answer reaches the tool."""
    (asked,) = seen["asked"]
    assert asked["_meta"][RELATED] == {"taskId": seen["finished"]}
    assert "(historical)" in seen["steps"][-1]["result"]["content"][0]["text"]


def test_a_client_is_told_of_its_tasks_on_its_own_stream(seen: dict[str, Any]) -> None:
    """Without having asked."""
    told = [task["status"] for task in seen["told"] if task["taskId"] == seen["finished"]]
    assert told[-1] == "completed"


def test_a_session_s_tasks_are_listed_and_cancelled(seen: dict[str, Any]) -> None:
    """Both operations were announced."""
    assert seen["capability"] == {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    assert set(seen["listed"]) == {seen["finished"], seen["cancelled"]}
    assert (seen["end"]["taskId"], seen["end"]["status"]) == (seen["cancelled"], "cancelled")


@pytest.mark.parametrize("server", ["pipe", "http"])
def test_a_task_is_known_in_every_worker_and_to_its_own_session_alone(
    gateway: Gateway, server: str
) -> None:
    """Each request comes on a connection of its own, to whatever worker."""
    with McpClient(gateway.port) as client:
        client.initialize()
        _, message = client.request(
            "tools/call", name=f"{server}__{TOOL}", arguments={"topic": "x"}, task={"ttl": 60_000}
        )
        task_id = message["result"]["task"]["taskId"]
    for _ in range(6):
        with McpClient(gateway.port, client.session) as another:
            assert another.request("tasks/get", taskId=task_id)[1]["result"]["taskId"] == task_id
    with McpClient(gateway.port) as stranger:
        stranger.initialize()
        assert stranger.request("tasks/get", taskId=task_id)[1]["error"]["code"] == -32602
        assert stranger.request("tasks/list")[1]["result"] == {"tasks": []}


def test_the_tasks_of_several_servers_are_listed_together(gateway: Gateway) -> None:
    """In the order of the configuration."""
    with McpClient(gateway.port) as client:
        client.initialize()
        begun = [
            client.request("tools/call", name=f"{server}__{TOOL}", arguments={"topic": "x"},
                           task={})[1]["result"]["task"]["taskId"]
            for server in ("http", "pipe")
        ]  # fmt: skip
        _, message = client.request("tasks/list")
        assert [task["taskId"] for task in message["result"]["tasks"]] == [*reversed(begun)]


def test_a_tool_that_runs_as_a_task_alone_says_so_to_clients_that_know_none(
    gateway: Gateway,
) -> None:
    """A modern client is not told of tasks of 2025-11-25, and does not get one by asking."""
    with McpClient(gateway.port) as client:
        _, message = client.request("tools/list")
        assert not any("execution" in tool for tool in message["result"]["tools"])
        _, message = client.request(
            "tools/call", name=f"pipe__{TOOL}", arguments={"topic": "x"}, task={}
        )
        assert "requires task augmentation" in message["result"]["content"][0]["text"]


def test_a_tool_that_cannot_run_as_a_task_is_refused_as_one(gateway: Gateway) -> None:
    """Over HTTP too, where plain calls go a way of their own."""
    with McpClient(gateway.port) as client:
        client.initialize()
        for server in ("pipe", "http"):
            for _ in range(2):
                assert client.call(f"{server}__echo", message="x") == "Echo: x"
                _, message = client.request(
                    "tools/call", name=f"{server}__echo", arguments={"message": "x"}, task={}
                )
                assert message["error"]["code"] == -32601
