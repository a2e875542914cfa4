"""Streams and calls in which client and server talk, while connections and workers come and go."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import asking_child, stdio_child
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY, META, McpClient, modern_headers
from tests.support.waiting import wait_until

WORKERS = 3
CHANGED = "notifications/tools/list_changed"
CANCELLED = "notifications/cancelled"
CONFIG: dict[str, Any] = {
    "stdio": {"allowed_commands": [sys.executable]},
    "servers": [
        {"id": "child", "command": sys.executable, "args": [stdio_child.__file__]},
        {"id": "asks", "command": sys.executable, "args": [asking_child.__file__]},
    ],
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run a gateway with several workers; every test leaves it whole."""
    with Gateway(CONFIG, workers=WORKERS) as gateway:
        gateway.wait_up("child", "asks")
        yield gateway


def change(gateway: Gateway) -> None:
    """Let a server's tools change."""
    with McpClient(gateway.port) as client:
        client.call("child__grow")


def owner(event_id: str) -> int:
    """Return the number of the worker that an event names."""
    return int(event_id.partition("-")[0].partition(".")[2])


def wait_replaced(gateway: Gateway, index: int, pid: int) -> None:
    """Wait until another worker is ready in the place of one that died."""

    def is_replaced() -> bool:
        row = gateway.processes().get(("worker", index))
        return row is not None and row["pid"] != pid and row["state"] == "ready"

    wait_until(is_replaced, "the next worker")


@pytest.mark.parametrize("in_chunks", [False, True], ids=["fast lane", "common way"])
@pytest.mark.parametrize("request_id", [1, 77, "x", None, {}], ids=repr)
def test_a_cancellation_of_what_is_not_under_way_is_taken_and_ignored(
    gateway: Gateway, request_id: object, in_chunks: bool
) -> None:
    """It crossed the answer, or was never about anything; of 1 there was one, which has ended."""
    note = {"jsonrpc": "2.0", "method": CANCELLED, "params": {"requestId": request_id}}
    body = json.dumps(note).encode()
    with McpClient(gateway.port).initialize() as client:
        own = {**HEADERS, "Mcp-Session-Id": str(client.session), "MCP-Protocol-Version": LEGACY}
        echo = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "child__echo", "arguments": {}}}  # fmt: skip
        response, answer = client.exchange("POST", json.dumps(echo).encode(), own)
        assert (response.status, json.loads(answer)["id"]) == (200, 1)
        for headers in (own, modern_headers(CANCELLED)):
            client.http.request(
                "POST", "/mcp", iter([body]) if in_chunks else body, headers,
                encode_chunked=in_chunks,
            )  # fmt: skip
            response = client.http.getresponse()
            assert (response.status, response.read()) == (202, b"")


def test_a_stream_goes_on_wherever_its_client_comes_back(gateway: Gateway) -> None:
    """On any worker; what changed while it was away is told first, and nothing twice."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session
    assert session
    with EventStream(gateway.port, session) as stream:
        stream.begin()
        change(gateway)
        stream.until(CHANGED)
        seen = stream.last_event_id
    for _ in range(4 * WORKERS):
        change(gateway)
        with EventStream(gateway.port, session, seen) as stream:
            stream.until(CHANGED)
            assert int(stream.last_event_id.rpartition("-")[2]) == (
                int(seen.rpartition("-")[2]) + 1
            )
            seen = stream.last_event_id


def test_a_stream_whose_worker_died_is_replaced(gateway: Gateway) -> None:
    """The client comes back with what it saw last, and hears of later changes."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session
    assert session
    with EventStream(gateway.port, session) as stream:
        seen = stream.begin().last_event_id
        pid = gateway.processes()["worker", owner(seen)]["pid"]
        os.kill(pid, signal.SIGKILL)
        assert stream.next() is None
    wait_replaced(gateway, owner(seen), pid)
    for _ in range(WORKERS):
        with EventStream(gateway.port, session, seen) as stream:
            change(gateway)
            stream.until(CHANGED)


def test_a_stream_outlives_a_reload(gateway: Gateway) -> None:
    """Nobody has to come back: the stream is told of what the new settings bring, and goes on."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session
    assert session
    with EventStream(gateway.port, session) as stream:
        stream.begin()
        for page_size in (7, 1000):
            gateway.configure({**CONFIG, "proxy": {"page_size": page_size}})
            done = gateway.command("reload", "--json", "--port", str(gateway.port))
            assert done["data"]["ok"]
            change(gateway)
            stream.until(CHANGED)


class Asking:
    """A modern client that calls the tool `asks__ask`, each request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ids = 0

    def send(self, **more: Any) -> dict[str, Any]:
        """Call, or call again; return the response."""
        self._ids += 1
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        params = {"name": "asks__ask", "_meta": meta, **more}
        body = {"jsonrpc": "2.0", "id": self._ids, "method": "tools/call", "params": params}
        headers = modern_headers("tools/call", "asks__ask")
        with McpClient(self._port) as client:
            _, raw = client.exchange("POST", json.dumps(body).encode(), headers)
        message: dict[str, Any] = json.loads(raw)
        assert message["id"] == self._ids
        return message


def test_a_call_goes_on_wherever_its_client_comes_back(gateway: Gateway) -> None:
    """The worker where it waits is found from each of the others."""
    for number in range(4 * WORKERS):
        client = Asking(gateway.port)
        wanted = client.send()["result"]
        assert wanted["resultType"] == "input_required"
        ((key, question),) = wanted["inputRequests"].items()
        assert question["method"] == "elicitation/create"
        answer = {"action": "accept", "content": {"n": number}}
        done = client.send(requestState=wanted["requestState"], inputResponses={key: answer})
        assert json.loads(done["result"]["content"][0]["text"]) == answer
        again = client.send(requestState=wanted["requestState"], inputResponses={key: answer})
        assert again["error"]["code"] == -32602


def test_a_call_whose_worker_died_has_ended(gateway: Gateway) -> None:
    """The client is told to call again, whichever worker it asks, and can."""
    client = Asking(gateway.port)
    wanted = client.send()["result"]
    for index in range(WORKERS):
        pid = gateway.processes()["worker", index]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_replaced(gateway, index, pid)
    gateway.wait_up("child", "asks")
    for _ in range(2 * WORKERS):
        gone = client.send(requestState=wanted["requestState"], inputResponses={"q1": {}})
        assert "call again without requestState" in gone["error"]["message"]
    assert client.send()["result"]["resultType"] == "input_required"
