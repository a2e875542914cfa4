"""Batches of clients of 2025-03-26, on every way in of a real gateway."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from only1mcp.protocol.event_stream import EventReader
from tests.support.gateway import Gateway
from tests.support.keyed import ENV, KEYS, keyed
from tests.support.loop import on_loop
from tests.support.mcp_client import HEADERS
from tests.support.stdio_client import StdioClient
from tests.support.talker import talker
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.way_clients import INITIALIZED, WAYS, Message, call, cancelled, legacy, text
from tests.support.zoo import animal, zoo

REVISION = "2025-03-26"
OPEN = {"websocket": True, "sse": True}
SLOW = [call(n, "t__slow") for n in (1, 2)]


def hello(revision: str = REVISION) -> Message:
    """Write the request that opens a session."""
    info = {"name": "batches", "version": "1"}
    return legacy("hello", "initialize", protocolVersion=revision, capabilities={}, clientInfo=info)


class Poster:
    """A client on one connection over Streamable HTTP."""

    def __init__(self, port: int, key: str = "", revision: str = REVISION) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._headers = {**HEADERS, **({"Authorization": f"Bearer {key}"} if key else {})}
        response = self._send(hello(revision))
        self._headers["Mcp-Session-Id"] = response.getheader("Mcp-Session-Id") or ""
        response.read()

    def __enter__(self) -> "Poster":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def _send(self, message: object) -> http.client.HTTPResponse:
        self.http.request("POST", "/mcp", json.dumps(message).encode(), self._headers)
        return self.http.getresponse()

    def post(self, message: object) -> tuple[int, Any]:
        """Post anything; returns the status and what came back, the events of a stream as list."""
        response = self._send(message)
        body = response.read()
        if response.getheader("Content-Type") == "text/event-stream":
            events = [event.data for event in EventReader(1 << 26).feed(body)]
            return response.status, [json.loads(data) for data in events]
        return response.status, json.loads(body) if body else None

    def leave_during(self, message: object) -> None:
        """Post a message and go away without waiting for the answer."""
        self.http.request("POST", "/mcp", json.dumps(message).encode(), self._headers)


@pytest.fixture(scope="module", params=[(1, False), (2, False), (2, True)], ids=str)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway with all ways in open."""
    workers, pure = request.param
    directory = tmp_path_factory.mktemp("b")
    servers = (animal("a", "tame"), talker("t", directory / "journal"))
    config = zoo(*servers, listen=OPEN, timeout="300s", limits={"max_batch": 50})
    with Gateway(config, workers=workers, pure=pure, directory=directory) as gateway:
        yield gateway


def _journal(gateway: Gateway) -> list[str]:
    path: Path = gateway.directory / "journal"
    return path.read_text().split() if path.exists() else []


def _by_id(messages: list[Message]) -> dict[object, Message]:
    return {message["id"]: message for message in messages}


def test_a_batch_is_answered_by_an_array_and_the_connection_goes_on(gateway: Gateway) -> None:
    """Calls, lists and pings side by side, each answered under its own id."""
    with Poster(gateway.port) as client:
        for turn in range(3):
            calls = [call(f"{turn}.{n}", "a__echo", text=f"{turn} {n}") for n in range(40)]
            status, answers = client.post([*calls, legacy("p", "ping"), INITIALIZED])
            assert (status, len(answers)) == (200, 41)
            found = _by_id(answers)
            assert found["p"]["result"] == {}
            for n in range(40):
                assert text(found[f"{turn}.{n}"]) == f"{turn} {n}"
            assert client.post(call(1, "a__echo", text="single"))[1]["id"] == 1


def test_a_batch_without_requests_has_no_answer(gateway: Gateway) -> None:
    """202, as a notification of its own."""
    with Poster(gateway.port) as client:
        assert client.post([INITIALIZED, INITIALIZED]) == (202, None)


def test_progress_of_a_member_makes_the_answer_a_stream(gateway: Gateway) -> None:
    """On which every request of the batch is answered."""
    with Poster(gateway.port) as client:
        meta = {"progressToken": "mine"}
        report = legacy("r", "tools/call", name="t__report", arguments={}, _meta=meta)
        status, said = client.post([legacy("p", "ping"), report, call("e", "a__echo", text="x")])
        assert status == 200
        answers = {one["id"] for one in said if "id" in one}
        told = [one for one in said if one.get("method") == "notifications/progress"]
        assert answers == {"p", "r", "e"}
        assert [one["params"]["progressToken"] for one in told] == ["mine"]


def test_a_client_that_goes_away_takes_the_whole_batch_along(gateway: Gateway) -> None:
    """The server is told of each call."""
    slow, before = (_journal(gateway).count(word) for word in ("slow", "cancelled"))
    with Poster(gateway.port) as client:
        client.leave_during(SLOW)
        wait_until(lambda: _journal(gateway).count("slow") == slow + 2, "the calls to run")
    wait_until(lambda: _journal(gateway).count("cancelled") == before + 2, "their end")


def test_what_is_no_batch_is_refused_as_a_whole(gateway: Gateway) -> None:
    """Empty, too long, ambiguous, or of a revision that has none; and the connection goes on."""
    pings = [legacy(n, "ping") for n in range(51)]
    with Poster(gateway.port) as client:
        for wrong in ([], pings, [pings[0], pings[0]]):
            status, answer = client.post(wrong)
            assert (status, answer["id"], answer["error"]["code"]) == (400, None, -32600)
        assert len(client.post(pings[1:])[1]) == 50
        status, answers = client.post([hello(), 7, pings[0]])
        assert [(one["id"], "error" in one) for one in answers] == [
            ("hello", True), (None, True), (0, False),
        ]  # fmt: skip
    for revision in ("2024-11-05", "2025-06-18", "2025-11-25"):
        with Poster(gateway.port, revision=revision) as client:
            status, answer = client.post(pings[:2])
            assert (status, answer["error"]["code"]) == (400, -32600)
            assert f"{revision} has no batches" in answer["error"]["message"]


@pytest.mark.parametrize("way", WAYS)
@on_loop
async def test_a_channel_carries_batches(gateway: Gateway, way: str) -> None:
    """A member can be taken back, and the channel is of use meanwhile."""
    slow = _journal(gateway).count("slow")
    async with WAYS[way](gateway.port) as client:
        await client.say(hello())
        assert await client.hear()
        await client.say(INITIALIZED)
        batch: Any = [*SLOW, call(3, "a__echo", text="x")]
        await client.say(batch)
        while _journal(gateway).count("slow") < slow + 2:
            await client.say(legacy("p", "ping"))
            assert await client.hear() == {"jsonrpc": "2.0", "id": "p", "result": {}}
        for n in (1, 2):
            await client.say(cancelled(n))
        answers: Any = await client.hear()
        assert {one["id"]: "error" in one for one in answers} == {1: True, 2: True, 3: False}


@pytest.mark.parametrize("revision", [REVISION, "2025-11-25"])
def test_the_bridge_of_stdio_carries_batches(gateway: Gateway, revision: str) -> None:
    """One array for each, also where the gateway streams; a refusal is told to each request."""
    with StdioClient("connect", gateway.url, env=gateway.env) as client:
        client.say(hello(revision))
        assert client.hear()["result"]["protocolVersion"] == revision
        client.say(INITIALIZED)
        report = legacy("r", "tools/call", name="t__report", arguments={})
        client.say(json.dumps([report, call("e", "a__echo", text="x"), INITIALIZED]).encode())
        said: Any = client.hear()
        if revision == REVISION:
            assert said["method"] == "notifications/message"
            said = client.hear()
        assert {one["id"] for one in said} == {"r", "e"}
        assert {"result" in one for one in said} == {revision == REVISION}
        client.say(b"[]")
        assert (said := client.hear())["id"] is None
        assert said["error"]["code"] == -32600
        assert client.finish() == (0, b"", b"")


def test_the_bridge_takes_members_back(gateway: Gateway) -> None:
    """The server hears of it; the batch is answered."""
    slow, before = (_journal(gateway).count(word) for word in ("slow", "cancelled"))
    with StdioClient("connect", gateway.url, env=gateway.env) as client:
        assert client.ask(hello())
        client.say(INITIALIZED)
        client.say(json.dumps(SLOW).encode())
        wait_until(lambda: _journal(gateway).count("slow") == slow + 2, "the calls to run")
        for n in (1, 2):
            client.say(cancelled(n))
        answers: Any = client.hear()
        assert {one["id"]: one["error"]["code"] for one in answers} == {1: -32800, 2: -32800}
        assert client.finish() == (0, b"", b"")
    assert _journal(gateway).count("cancelled") == before + 2


def test_keys_hold_for_each_member() -> None:
    """What a key may not reach does not exist in a batch either, and a rate counts every call."""
    config = keyed(rate_limit={"enabled": True, "requests": 5, "per": "10h"})
    with Gateway(config, workers=2, env=ENV) as gateway:
        with Poster(gateway.port, KEYS["few"]) as client:
            path: dict[str, Any] = {"path": "."}
            _, answers = client.post([call(1, "files__list", **path), call(2, "time__now")])
            found = _by_id(answers)
            assert "result" in found[1]
            assert found[2]["error"]["code"] == -32602
        with Poster(gateway.port, KEYS["ann"]) as client:
            _, answers = client.post([call(n, "time__now") for n in range(20)])
            assert sum("result" in one for one in answers) == 5
            codes = {one["error"]["code"] for one in answers if "error" in one}
            assert codes == {32007}
        with Poster(gateway.port, "nobody's") as client:
            assert client.post([legacy(1, "ping")])[0] == 401
