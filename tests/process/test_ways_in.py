"""The ways in besides Streamable HTTP: MCP on a WebSocket and over HTTP+SSE, of a real gateway."""

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.gateway import Gateway
from tests.support.loop import eventually, on_loop
from tests.support.mcp_client import LEGACY
from tests.support.talker import talker
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.way_clients import (
    INITIALIZED,
    WAYS,
    Message,
    StreamClient,
    WayClient,
    call,
    cancelled,
    initialize,
    legacy,
    modern,
    sse,
    text,
    websocket,
)
from tests.support.zoo import animal, zoo

OPEN = {"websocket": True, "sse": True}
LISTEN = {"notifications": {"toolsListChanged": True}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
by_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module", params=[(1, False), (4, False), (2, True)], ids=str)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway with all ways in open, before a server that talks back."""
    workers, pure = request.param
    directory = tmp_path_factory.mktemp("w")
    servers = (animal("a", "tame"), talker("t", directory / "journal"))
    config = zoo(*servers, listen=OPEN, timeout="300s")
    with Gateway(config, workers=workers, pure=pure, directory=directory) as gateway:
        yield gateway


def _journal(gateway: Gateway) -> list[str]:
    """Return what the talking server has noted."""
    path = gateway.directory / "journal"
    return path.read_text().split() if path.exists() else []


async def _hear(client: WayClient) -> Message:
    """Return the next message, which must come."""
    message = await client.hear()
    assert message is not None, "the channel has ended"
    return message


async def _open_session(client: WayClient, **capabilities: object) -> None:
    await client.say(initialize(**capabilities))
    assert (await _hear(client))["result"]["protocolVersion"] == LEGACY
    await client.say(INITIALIZED)


@by_way
@on_loop
async def test_a_legacy_client_lists_and_calls(gateway: Gateway, way: str) -> None:
    """Its session is the channel's; it never sees an id."""
    async with WAYS[way](gateway.port) as client:
        await _open_session(client)
        await client.say(legacy(1, "tools/list"))
        names = {tool["name"] for tool in (await _hear(client))["result"]["tools"]}
        assert {"a__echo", "t__report"} <= names
        await client.say(call("é", "a__echo", text="hello"))
        assert text(await _hear(client)) == "hello"
        await client.say(legacy(-1, "ping"))
        assert await _hear(client) == {"jsonrpc": "2.0", "id": -1, "result": {}}


@by_way
@on_loop
async def test_a_modern_client_needs_neither_session_nor_headers(
    gateway: Gateway, way: str
) -> None:
    """Also where a tool wants an argument repeated in one."""
    async with WAYS[way](gateway.port) as client:
        await client.say(modern("d", "server/discover"))
        assert (await _hear(client))["result"]["supportedVersions"] == ["2026-07-28"]
        arguments = {"text": "größe"}
        await client.say(modern(1, "tools/call", name="t__echo", arguments=arguments))
        assert "gr" in text(await _hear(client))
        await client.say(modern(2, "tools/call", name="nobody__größe", arguments={}))
        assert "größe" in (await _hear(client))["error"]["message"]


@by_way
@on_loop
async def test_many_requests_run_side_by_side(gateway: Gateway, way: str) -> None:
    """Each answer has the id of its request, whichever worker a POST reaches."""
    async with WAYS[way](gateway.port) as client:
        await _open_session(client)
        await client.say(*(call(n, "a__echo", text=str(n)) for n in range(40)))
        answers = [await _hear(client) for _ in range(40)]
        assert {answer["id"]: text(answer) for answer in answers} == {n: str(n) for n in range(40)}


@by_way
@on_loop
async def test_a_call_reports_before_it_is_answered(gateway: Gateway, way: str) -> None:
    """Progress with the client's own token, and log messages."""
    async with WAYS[way](gateway.port) as client:
        await _open_session(client)
        meta = {"progressToken": "mine"}
        await client.say(legacy(1, "tools/call", name="t__report", _meta=meta))
        progress, logged, answer = [await _hear(client) for _ in range(3)]
        assert progress["params"] == {"progressToken": "mine", "progress": 1}
        assert logged["params"] == {"level": "info", "data": "reporting"}
        assert answer["id"] == 1


@by_way
@on_loop
async def test_a_server_asks_the_client_in_the_middle_of_a_call(gateway: Gateway, way: str) -> None:
    """The answer finds its way, whichever worker takes it."""
    async with WAYS[way](gateway.port) as client:
        await _open_session(client, elicitation={})
        await client.say(call(1, "t__ask"))
        question = await _hear(client)
        assert question["method"] == "elicitation/create"
        said = {"action": "accept", "content": {"name": "Ada"}}
        await client.say({"jsonrpc": "2.0", "id": question["id"], "result": said})
        assert '"Ada"' in text(await _hear(client))


@by_way
@on_loop
async def test_a_modern_client_answers_in_its_next_request(gateway: Gateway, way: str) -> None:
    """The same server, for a client that cannot be asked."""
    meta: Message = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
    request: Message = {"name": "t__ask", "arguments": {}, "_meta": meta}
    async with WAYS[way](gateway.port) as client:
        await client.say(modern(1, "tools/call", **request))
        wanted = (await _hear(client))["result"]
        assert wanted["resultType"] == "input_required"
        (key,) = wanted["inputRequests"]
        said = {key: {"action": "accept", "content": {"name": "Ada"}}}
        more = {"inputResponses": said, "requestState": wanted["requestState"]}
        await client.say(modern(2, "tools/call", **request, **more))
        assert '"Ada"' in text(await _hear(client))


@by_way
@on_loop
async def test_changes_are_told_on_the_channel(gateway: Gateway, way: str) -> None:
    """To the session once it is initialized, and to each subscription with its id."""
    async with WAYS[way](gateway.port) as client:
        await client.say(modern("l", "subscriptions/listen", **LISTEN))
        acknowledged = await _hear(client)
        assert acknowledged["params"]["_meta"][SUBSCRIPTION] == "l"
        await _open_session(client)
        await client.say(call(1, "t__grow"))
        messages = [await _hear(client) for _ in range(3)]
        changed = [message for message in messages if "method" in message]
        assert {message["method"] for message in changed} == {"notifications/tools/list_changed"}
        tags = [message.get("params", {}).get("_meta", {}).get(SUBSCRIPTION) for message in changed]
        assert sorted(map(str, tags)) == ["None", "l"]


@by_way
@pytest.mark.parametrize("era", ["legacy", "modern"])
@on_loop
async def test_a_cancelled_call_is_stopped_at_its_server(
    gateway: Gateway, way: str, era: str
) -> None:
    """The client hears no more of it, and the channel goes on."""
    before = _journal(gateway).count("cancelled")
    async with WAYS[way](gateway.port) as client:
        if era == "legacy":
            await _open_session(client)
        request = legacy if era == "legacy" else modern
        calls = _journal(gateway).count("slow")
        await client.say(request("c", "tools/call", name="t__slow", arguments={}))
        await eventually(lambda: _journal(gateway).count("slow") > calls, "the call to run")
        await client.say(cancelled("c"))
        await eventually(lambda: _journal(gateway).count("cancelled") > before, "its end")
        await client.say(request("e", "tools/call", name="a__echo", arguments={"text": "x"}))
        assert (await _hear(client))["id"] == "e"


@by_way
@on_loop
async def test_a_client_that_leaves_takes_its_calls_along(gateway: Gateway, way: str) -> None:
    """The server is told that nobody waits any more."""
    before, calls = (_journal(gateway).count(word) for word in ("cancelled", "slow"))
    async with WAYS[way](gateway.port) as client:
        await _open_session(client)
        await client.say(call(1, "t__slow"))
        await eventually(lambda: _journal(gateway).count("slow") > calls, "the call to run")
    await eventually(lambda: _journal(gateway).count("cancelled") > before, "its end")


@by_way
@on_loop
async def test_what_is_no_message_is_answered_without_an_id(gateway: Gateway, way: str) -> None:
    """A batch, a message of no session, and the channel goes on."""
    async with WAYS[way](gateway.port) as client:
        await client.say({"jsonrpc": "1.0"})
        assert (await _hear(client))["id"] is None
        await client.say(legacy(1, "tools/list"))
        answer = await _hear(client)
        assert (answer["id"], answer["error"]["code"]) == (1, -32600)
        await client.say(modern(2, "tools/list"))
        assert (await _hear(client))["id"] == 2


@on_loop
async def test_an_address_is_of_its_stream_alone(gateway: Gateway) -> None:
    """Another one, and that of a stream that is gone, is 404 at every worker."""
    async with sse(gateway.port) as client:
        address = client.address
        for wrong in (address + "0", address[:-1] + "?", address.partition("?")[0]):
            stranger = StreamClient("", client._response)
            stranger.address = wrong
            assert [await stranger.post(b"{}") for _ in range(8)] == [404] * 8
        await client.say(modern(1, "tools/list"))
        assert (await _hear(client))["id"] == 1
    gone = StreamClient("", client._response)
    gone.address = address
    while await gone.post(b"{}") == 202:
        pass  # its worker has not noticed yet
    assert [await gone.post(b"{}") for _ in range(8)] == [404] * 8


@by_way
def test_a_way_is_closed_unless_it_is_opened(way: str) -> None:
    """As it was for those who never heard of it."""
    with Gateway(zoo(animal("a", "tame"), listen={w: w != way for w in WAYS})) as gateway:
        for other in WAYS:
            path = {"websocket": "/ws", "sse": "/sse"}[other]
            request = (
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade, close\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
            )
            if other == "sse":
                request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as connection:
                connection.sendall(request.encode())
                status = connection.recv(64).split()[1]
            closed = {"websocket": b"501", "sse": b"404"}[other]
            opened = {"websocket": b"101", "sse": b"200"}[other]
            assert status == (closed if other == way else opened)


@by_way
@on_loop
async def test_a_worker_that_dies_ends_its_channels_only(way: str) -> None:
    """Their clients come back to its successor."""
    config = zoo(animal("a", "tame"), listen=OPEN)
    with Gateway(config, workers=2) as gateway:
        async with WAYS[way](gateway.port) as client:
            await _open_session(client)
            for pid in gateway.pids("worker"):
                os.kill(pid, signal.SIGKILL)
            assert await client.hear() is None
            if isinstance(client, StreamClient):
                wait_until(lambda: len(gateway.pids("worker")) == 2, "the workers' successors")
                assert await client.post(b"{}") == 404
        async with WAYS[way](gateway.port) as client:
            await _open_session(client)
            await client.say(call(1, "a__echo", text="again"))
            assert text(await _hear(client)) == "again"


def _have_left(gateway: Gateway, pids: list[int]) -> bool:
    """Say whether none of these workers takes anything new."""
    rows = gateway.status()["processes"]
    return not any(row["pid"] in pids and row["state"] == "ready" for row in rows)


@by_way
@on_loop
async def test_a_reload_leaves_channels_alone(way: str) -> None:
    """A question that was under way is answered, and new tools are there on the same channel."""
    with Gateway(zoo(talker("t"), listen=OPEN), workers=2) as gateway:
        async with WAYS[way](gateway.port) as client:
            await _open_session(client, elicitation={})
            await client.say(call(1, "t__ask"))
            question = await _hear(client)
            gateway.configure(zoo(talker("t"), animal("a", "tame"), listen=OPEN))
            await eventually(lambda: '"msg":"reloaded"' in gateway.log, "the reload")
            gateway.wait_up("a")
            said = {"action": "decline"}
            await client.say({"jsonrpc": "2.0", "id": question["id"], "result": said})
            answers = [await _hear(client)]
            while answers[-1].get("id") != 1:  # that lists have changed may be told first
                answers.append(await _hear(client))
            assert '"decline"' in text(answers[-1])
            await client.say(call(2, "a__echo", text="new"))
            while answers[-1].get("id") != 2:
                answers.append(await _hear(client))
            assert text(answers[-1]) == "new"


@by_way
@on_loop
async def test_a_worker_that_stops_lets_calls_finish_before_it_ends_channels(way: str) -> None:
    """New calls are refused meanwhile; a WebSocket says that it goes away."""
    config = zoo(talker("t"), listen=OPEN)
    with Gateway(config, workers=2) as gateway:
        async with WAYS[way](gateway.port) as client:
            await _open_session(client, elicitation={})
            await client.say(call(1, "t__ask"))
            question = await _hear(client)
            old = gateway.pids("worker")
            gateway.send(signal.SIGUSR2)
            await eventually(lambda: _have_left(gateway, old), "the old workers drain")
            answer: dict[str, Any] = {}
            for number in range(2, 100):  # the worker may not have told its channels yet
                await client.say(call(number, "t__report"))
                answer = await _hear(client)
                if "error" in answer:
                    break
            assert answer["error"]["code"] == 32004
            said = {"action": "decline"}
            await client.say({"jsonrpc": "2.0", "id": question["id"], "result": said})
            assert '"decline"' in text(await _hear(client))
            assert await client.hear() is None
        async with websocket(gateway.port) as fresh:
            await fresh.say(modern(1, "server/discover"))
            assert (await _hear(fresh))["id"] == 1
            assert gateway.stop() == 143
            assert await fresh.hear() is None
            assert fresh.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
