"""Keys in the fast lane, and the same on the common way: who calls, what exists, how often."""

import hashlib
import json
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp.auth.principal import Key
from only1mcp.protocol.versions import Era
from tests.support.lane import HEAD, Worker, call, lane_worker, legacy_call, modern_request
from tests.support.loop import on_loop
from tests.support.messages import modern
from tests.support.raw_server import Came, Peer, RawServer, result, whole
from tests.support.wire import Reply, Wire

ANN, BOB, TIM = (f"o1_{name}-0123456789abcdefghij" for name in ("ann", "bob", "tim"))
KEYS: list[dict[str, Any]] = [
    {"id": "ann", "rate_limit": {"requests": 3, "per": "10h"}},
    {"id": "bob", "servers": ["other*"]},
    {"id": "tim", "tools": ["s__echo"]},
]
FAST = pytest.mark.parametrize(
    "fast",
    [False, pytest.param(True, marks=pytest.mark.skipif(
        not _speedups.COMPILED, reason="the lane is compiled only"))],
    ids=["common", "lane"],
)  # fmt: skip


def auth() -> dict[str, Any]:
    """Return the configuration of three keys."""
    digests = [hashlib.sha256(key.encode()).hexdigest() for key in (ANN, BOB, TIM)]
    keys = [{**key, "hash": f"sha256:{digest}"} for key, digest in zip(KEYS, digests, strict=True)]
    return {"auth": {"keys": keys}}


class Site:
    """A server that echoes, and remembers what came."""

    def __init__(self) -> None:
        self.came: list[Came] = []
        self.server = RawServer(self._serve)

    async def _serve(self, peer: Peer) -> None:
        while True:
            came = await peer.request()
            self.came.append(came)
            text = came.message["params"].get("arguments", {}).get("text", "")
            await peer.send(whole(result(came.id, text)))


def keyed(request: bytes, *keys: str) -> bytes:
    """Put Authorization headers into a request."""
    lines = "".join(f"Authorization: Bearer {key}\r\n" for key in keys).encode()
    start = HEAD.encode()
    assert request.startswith(start)
    return start + lines + request[len(start) :]


async def ask(wire: Wire, request: bytes, *keys: str) -> Reply:
    """Send a request with these keys; return what comes back."""
    await wire.send(keyed(request, *keys))
    return await wire.reply()


def error_of(reply: Reply) -> int:
    """Return the code of an error."""
    return int(json.loads(reply.body)["error"]["code"])


@FAST
@on_loop
async def test_calls_go_through_for_whom_the_tool_exists(fast: bool) -> None:
    """On one connection, whoever sends the next request; the server never sees a key."""
    site = Site()
    async with (
        site.server.open() as url,
        lane_worker(url, fast=fast, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        for _ in range(2):
            assert (await ask(wire, call(1, "a"), TIM)).status == 200
            assert error_of(await ask(wire, call(2, "b"), BOB)) == -32602
        if fast:
            assert len(worker.lane.fronts) == 1
        assert (await ask(wire, call(3, "c"), ANN)).status == 200
        prompt = modern_request("prompts/get", "s__ask", modern("prompts/get", {"name": "s__ask"}))
        assert error_of(await ask(wire, prompt, BOB)) == -32602
        assert (await ask(wire, prompt, TIM)).status == 200
    said = [came.message["params"].get("arguments", {}).get("text") for came in site.came]
    assert said == ["a", "a", "c", None]
    assert all("authorization" not in came.headers for came in site.came)


@FAST
@on_loop
async def test_lists_are_each_caller_s_own(fast: bool) -> None:
    """Also when they are ready-made."""
    site = Site()
    lists = modern_request("tools/list", "", modern("tools/list")).replace(b"Mcp-Name: \r\n", b"")
    async with (
        site.server.open() as url,
        lane_worker(url, fast=fast, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        for _ in range(3):
            for key, names in ((ANN, ["s__echo"]), (BOB, []), (TIM, ["s__echo"])):
                reply = await ask(wire, lists, key)
                found = [tool["name"] for tool in json.loads(reply.body)["result"]["tools"]]
                assert found == names


WRONG = [(), ("x",), (ANN, ANN), (ANN, BOB), (f"{ANN}x",), (ANN.upper(),), (f"{ANN} {ANN}",),
         ("A" * 5000,)]  # fmt: skip


@pytest.mark.parametrize("keys", WRONG, ids=map(str, range(len(WRONG))))
@FAST
@on_loop
async def test_what_is_no_key_is_refused_after_one_that_is(
    fast: bool, keys: tuple[str, ...]
) -> None:
    """What a connection was let in with does not count for its next request."""
    site = Site()
    async with (
        site.server.open() as url,
        lane_worker(url, fast=fast, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        assert (await ask(wire, call(1), TIM)).status == 200
        reply = await ask(wire, call(2), *keys)
        assert reply.status == (400 if len(keys) > 1 else 401)
        if reply.status == 401:
            assert reply.headers["www-authenticate"].startswith('Bearer realm="only1mcp"')
    assert len(site.came) == 1


@FAST
@on_loop
async def test_beyond_its_rate_a_caller_is_refused_and_others_are_not(fast: bool) -> None:
    """The server does not hear of it; in the lane no token is taken twice."""
    site = Site()
    async with (
        site.server.open() as url,
        lane_worker(url, fast=fast, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        statuses = [(await ask(wire, call(number), ANN)).status for number in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        reply = await ask(wire, call(9), ANN)
        assert error_of(reply) == 32007
        assert 1 <= int(reply.headers["retry-after"]) <= 12_000
        assert (await ask(wire, call(10), TIM)).status == 200
        plan = worker.graph.context.shared.metrics_plan
        row = worker.graph.context.metrics.row
        counted = [row[plan.client(number) : plan.client(number) + 2].tolist() for number in (1, 3)]
        assert counted == [[6, 3], [1, 0]]
    assert len(site.came) == 4


def session_of(worker: Worker, owner: str) -> str:
    """Open a legacy session for somebody."""
    session = worker.parts.sealer.open(worker.session(), 0)
    sealer = worker.parts.sealer
    return sealer.seal(sealer.create("2025-11-25", b"{}", b"", session.created, owner))


@FAST
@on_loop
async def test_a_session_is_of_no_use_to_another(fast: bool) -> None:
    """Although the lane has just answered its owner."""
    site = Site()
    async with (
        site.server.open() as url,
        lane_worker(url, Era.LEGACY, fast=fast, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        session = session_of(worker, "tim")
        ping = legacy_call(session).replace(b"tools/call", b"tools/list")
        ping = ping.replace(b'"params": {"name": "s__echo", "arguments": {"text": "x"}}', b'"x": 1')
        size = len(ping.split(b"\r\n\r\n", 1)[1])
        head, body = ping.split(b"\r\n\r\n", 1)
        head = head[: head.index(b"Content-Length")] + b"Content-Length: %d" % size
        request = head + b"\r\n\r\n" + body
        assert (await ask(wire, request, TIM)).status == 200
        assert (await ask(wire, request, ANN)).status == 404
        assert (await ask(wire, request, TIM)).status == 200


@pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")
@on_loop
async def test_a_connection_is_looked_at_again_when_credentials_are_revoked() -> None:
    """Until then it is remembered who it is."""
    site = Site()
    async with (
        site.server.open() as url,
        lane_worker(url, config=auth()) as worker, worker.wire() as wire,
    ):  # fmt: skip
        assert (await ask(wire, call(1), TIM)).status == 200
        worker.parts.access.follow([Key("eve", "0" * 64)], None, {"eve": 1})
        worker.graph.context.shared.memory.revoked[0] += 1
        assert (await ask(wire, call(2), TIM)).status == 401
    assert len(site.came) == 1
