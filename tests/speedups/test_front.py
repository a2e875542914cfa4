"""Connections of clients in the fast lane, on real sockets."""

import json

import pytest

from only1mcp import _speedups
from tests.support.lane import URI, call, lane_worker, modern_request
from tests.support.loop import on_loop
from tests.support.messages import modern
from tests.support.raw_server import Peer, RawServer, result, whole

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


async def echo(peer: Peer) -> None:
    """Answer every call with its own id and text."""
    while True:
        came = await peer.request()
        text = came.message["params"].get("arguments", {}).get("text", "")
        await peer.send(whole(result(came.id, text)))


@on_loop
async def test_a_call_is_carried() -> None:
    """There and back, under the client's id."""
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(call("mine", "hello"))
        reply = await wire.reply()
        assert reply.status == 200
        message = json.loads(reply.body)
        assert (message["id"], message["result"]["content"][0]["text"]) == ("mine", "hello")
        assert len(worker.lane.fronts) == 1


@pytest.mark.parametrize(
    ("method", "params"),
    [("tools/call", {"uri": "s__echo"}), ("prompts/get", {"uri": "s__ask"}),
     ("resources/read", {"name": URI})],
)  # fmt: skip
@on_loop
async def test_a_target_under_the_wrong_key_is_none(method: str, params: dict[str, str]) -> None:
    """Although a call with the same target under the right key was just carried."""
    right = {"uri" if "name" in params else "name": next(iter(params.values()))}
    name = next(iter(params.values()))
    async with RawServer(echo).open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(modern_request(method, name, modern(method, right)))
        assert (await wire.reply()).status == 200
        await wire.send(modern_request(method, name, modern(method, params)))
        reply = await wire.reply()
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, -32602)
