"""Calls of modern clients to legacy servers: the same in the lane as on the common way."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp.protocol.versions import Era
from tests.support.host_lane import answer_to, hosted_worker
from tests.support.kept import ACCEPTED, greeting, is_told, taken
from tests.support.lane import URI, Worker, lane_worker, modern_request
from tests.support.loop import eventually, on_loop
from tests.support.messages import META, OWN, encode, modern
from tests.support.raw_server import CHUNKED, EVENTS, Came, Peer, RawServer, chunk, event, whole
from tests.support.wire import Wire

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")

SAID = {"content": [{"type": "text", "text": "ok"}]}
ANNOUNCED = {OWN + "clientInfo": {"name": "c", "version": "1"}}


class Legacy:
    """A legacy server that answers calls as it is told, and keeps what came."""

    def __init__(self, write: Callable[[Came], list[bytes]]) -> None:
        self.calls: list[Came] = []
        self.others: list[Came] = []
        self.holds = asyncio.Event()
        self.holds.set()
        self._write = write

    async def serve(self, peer: Peer) -> None:
        """Answer until the connection ends."""
        while True:
            came = await peer.request()
            if is_told(came) or "method" not in came.message:
                self.others.append(came)
                await peer.send(ACCEPTED)
            elif came.message["method"] == "initialize":
                self.others.append(came)
                await peer.send(greeting(came))
            else:
                self.calls.append(came)
                await self.holds.wait()
                for piece in self._write(came):
                    await peer.send(piece)


def saying(result: Any) -> Callable[[Came], list[bytes]]:
    """Answer with this result."""
    return lambda came: [whole(encode({"jsonrpc": "2.0", "id": came.id, "result": result}))]


def request(params: dict[str, Any], method: str = "tools/call") -> bytes:
    """Write a modern request of `echo`, or of the resource, head and all.

    A `_meta` among the parameters stands before the target, else behind it.
    """
    target = {"uri": URI} if method == "resources/read" else {"name": "s__echo"}
    body = modern(method, {**params, **target})
    return modern_request(method, URI if method == "resources/read" else "s__echo", body)


async def travelled(
    sent: bytes, write: Callable[[Came], list[bytes]], *, fast: bool
) -> tuple[int, Any, Any, bool]:
    """Send a request twice, for the first one opens the session.

    Returns status and message of the second, what the server was asked but for the id, and whether
    a plan of the lane's stood for it.
    """
    legacy = Legacy(write)
    server = RawServer(legacy.serve)
    async with server.open() as url, lane_worker(url, Era.LEGACY, fast=fast) as worker:
        async with worker.wire() as wire:
            await wire.send(sent)
            await wire.reply()
            await wire.send(sent)
            reply = await wire.reply()
        last = legacy.calls[-1].message
        del last["id"]
        meta = last["params"].setdefault("_meta", {})  # says nothing when it is empty
        if "progressToken" in meta:
            meta["progressToken"] = "ours"
        return reply.status, json.loads(reply.body), last, fast and is_planned(worker)


def is_planned(worker: Worker) -> bool:
    """Say whether the lane carries translated calls."""
    return any(isinstance(plan, _speedups.Across) for plan in worker.lane.plans.values())


REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"arguments": {"text": "x"}}, "tools/call"),
    "the client's name": ({"arguments": {}, "_meta": ANNOUNCED}, "tools/call"),
    "a trace": ({"_meta": {"traceparent": "00-a-b-01", **ANNOUNCED}}, "tools/call"),
    "a related task": ({"_meta": {OWN + "related-task": {"taskId": "1"}}}, "tools/call"),
    "a task": ({"arguments": {}, "task": {"ttl": 1}}, "tools/call"),
    "an answer": ({"arguments": {}, "inputResponses": {}, "other": 1}, "tools/call"),
    "an argument that is called task": ({"arguments": {"task": "x"}}, "tools/call"),
    "a level": ({"arguments": {}, "_meta": {OWN + "logLevel": "debug"}}, "tools/call"),
    "a token": ({"arguments": {}, "_meta": {"progressToken": 7}}, "tools/call"),
    "much": ({"arguments": {}, "_meta": {"x": "y" * 2000}}, "tools/call"),
    "a client that can be asked": (
        {"_meta": {OWN + "clientCapabilities": {"sampling": {}}}}, "tools/call"),
    "a resource": ({}, "resources/read"),
}  # fmt: skip
PLANNED = REQUESTS.keys() - {"a level", "a token", "a client that can be asked"}
"""There is a plan for these; what is peculiar in them is found when they come."""


@pytest.mark.parametrize("name", REQUESTS)
@on_loop
async def test_the_server_is_asked_the_same(name: str) -> None:
    """Without what only the client's revision knows, and with all else."""
    params, method = REQUESTS[name]
    sent = request(params, method)
    contents = saying({"contents": []} if method == "resources/read" else SAID)
    if name == "a client that can be asked":  # which is the host's business: there is none here
        *_, is_planned = await travelled_once(sent, contents)
        assert not is_planned
        return
    status, message, asked, is_planned = await travelled(sent, contents, fast=True)
    common = await travelled(sent, contents, fast=False)
    assert (status, message, asked) == common[:3]
    assert (status, message["result"]["resultType"]) == (200, "complete")
    assert not any(key.startswith(OWN) for key in asked["params"]["_meta"])
    assert is_planned == (name in PLANNED)


async def travelled_once(sent: bytes, write: Callable[[Came], list[bytes]]) -> tuple[int, bool]:
    """Send a request; return the status, and whether the lane has a plan for it."""
    legacy = Legacy(write)
    server = RawServer(legacy.serve)
    async with server.open() as url, lane_worker(url, Era.LEGACY) as worker, worker.wire() as wire:
        await wire.send(sent)
        return (await wire.reply()).status, is_planned(worker)


def error(came: Came) -> list[bytes]:
    """Answer that there is no such resource, as legacy servers do."""
    refused = {"code": -32002, "message": "no such thing", "data": [1]}
    return [whole(encode({"jsonrpc": "2.0", "id": came.id, "error": refused}))]


def streamed(came: Came) -> list[bytes]:
    """Answer in a stream, after a log message and a question."""
    asked = {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}
    logged = {"level": "error", "data": "ouch"}
    message = {"jsonrpc": "2.0", "method": "notifications/message", "params": logged}
    reply = {"jsonrpc": "2.0", "id": came.id, "result": SAID}
    events = [event(encode(one)) for one in (message, asked, reply)]
    return [EVENTS + CHUNKED, *map(chunk, events), b"0\r\n\r\n"]


ANSWERS: dict[str, Callable[[Came], list[bytes]]] = {
    "untyped": saying(SAID),
    "typed": saying({"resultType": "complete", **SAID}),
    "empty": saying({}),
    "spaced": lambda came: [
        whole(b'{"jsonrpc":"2.0","result": { \n "content" : [] } ,"id":%d}' % came.id)],
    "the word in a text": saying({"content": [{"type": "text", "text": '"resultType"'}]}),
    "a type that is none": saying({"resultType": 7, **SAID}),
    "a type of another kind": saying({"resultType": "strange", **SAID}),
    "a type that is written with an escape": lambda came: [
        whole(b'{"jsonrpc":"2.0","id":%d,"result":{"result\\u0054ype":"strange"}}' % came.id)],
    "no object": saying([1, 2]),
    "much": saying({"content": [{"type": "text", "text": "x" * 100_000}]}),
    "an error": error,
    "an error with a status": lambda came: [
        one.replace(b"200 OK", b"404 Not Found") for one in error(came)],
    "a stream": streamed,
    "another id": lambda came: [
        whole(encode({"jsonrpc": "2.0", "id": came.id + 1, "result": SAID}))],
    "garbage": lambda came: [whole(b"}{")],
    "out of order": lambda came: [whole(b"", status=b"503 Busy")],
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@on_loop
async def test_the_client_is_answered_the_same(name: str) -> None:
    """With the members that its revision requires."""
    sent = request({"arguments": {"text": "x"}})
    status, message, asked, is_planned = await travelled(sent, ANSWERS[name], fast=True)
    assert is_planned
    common = await travelled(sent, ANSWERS[name], fast=False)
    assert (status, message, asked) == common[:3]
    assert message["id"] == 1


@on_loop
async def test_what_is_remembered_of_calls_has_one_bound_for_all_kinds_of_them() -> None:
    """Traces make every `_meta` another one, and what clients declare makes kinds."""
    legacy = Legacy(saying(SAID))
    async with RawServer(legacy.serve).open() as url, lane_worker(url, Era.LEGACY) as worker:
        assert worker.graph.lane is not None
        metas = worker.graph.lane._plans._metas
        async with worker.wire() as wire:
            await wire.send(request({}))
            await wire.reply()
            for number in range(300):
                declared = {OWN + "clientCapabilities": {"x": number % 10}}
                await wire.send(request({"_meta": {"trace": number, **declared}}))
                assert (await wire.reply()).status == 200
                assert len(metas) <= 256
        assert len(worker.lane.plans) == 11
        assert taken(worker) == 1
        assert len(metas) == 301 - 256


async def hold_call(worker: Worker, legacy: Legacy, wire: Wire) -> None:
    """Have a call wait at the server, after one that has opened the session."""
    await wire.send(request({}))
    await wire.reply()
    legacy.holds.clear()
    await wire.send(request({}))
    await eventually(lambda: len(legacy.calls) == 2, "the call at the server")
    assert worker.under_way == 1


@on_loop
async def test_the_lane_carries_them() -> None:
    """Each after the one that has opened the session."""
    legacy = Legacy(saying(SAID))
    async with RawServer(legacy.serve).open() as url, lane_worker(url, Era.LEGACY) as worker:
        async with worker.wire() as wire:
            await hold_call(worker, legacy, wire)
            legacy.holds.set()
            assert (await wire.reply()).status == 200
        assert worker.under_way == 0


@on_loop
async def test_a_server_that_has_forgotten_the_session_gets_the_call_again() -> None:
    """On a new one; the client hears of its answer alone."""
    forgets = [False, True, True, False]

    def write(came: Came) -> list[bytes]:
        if forgets.pop(0):
            return [whole(b"", status=b"404 Not Found")]
        return saying(SAID)(came)

    legacy = Legacy(write)
    server = RawServer(legacy.serve)
    async with server.open() as url, lane_worker(url, Era.LEGACY) as worker, worker.wire() as wire:
        for _ in range(2):
            await wire.send(request({}))
            reply = await wire.reply()
            assert json.loads(reply.body)["result"] == {"resultType": "complete", **SAID}
    greetings = [one for one in legacy.others if one.body and "method" in one.message]
    assert [one.message["method"] for one in greetings].count("initialize") == 2
    assert len(legacy.calls) == 4


@on_loop
async def test_a_client_that_leaves_has_its_call_cancelled_there() -> None:
    """As a legacy server wants to be told."""
    legacy = Legacy(saying(SAID))
    async with RawServer(legacy.serve).open() as url, lane_worker(url, Era.LEGACY) as worker:
        async with worker.wire() as wire:
            await hold_call(worker, legacy, wire)
        told = b"notifications/cancelled"
        await eventually(lambda: any(told in one.body for one in legacy.others), "the word of it")
        legacy.holds.set()


@pytest.mark.parametrize("name", ["echo", "untyped", "error", "log", "ask"])
@on_loop
async def test_calls_to_stdio_servers_are_carried_and_answered_alike(name: str) -> None:
    """The host's servers are reached over its link."""
    answers = []
    for fast in (True, False):
        async with hosted_worker(Era.LEGACY, fast=fast) as worker, worker.wire() as wire:
            params = {"name": f"s__{name}", "arguments": {"text": "x"}, "_meta": META}
            sent = modern_request("tools/call", f"s__{name}", modern("tools/call", params))
            answers.append(await answer_to(wire, sent))
            assert not fast or worker.line.carried == 1
    assert answers[0] == answers[1]
