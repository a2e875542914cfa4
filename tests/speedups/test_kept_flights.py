"""Equal calls at the same time: the same on the lane, which makes the first, and past it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from only1mcp.memory.cache_epochs import TOOL, CacheEpochs
from only1mcp.protocol.versions import Era
from tests.support.kept import (
    ACCEPTED,
    WAYS,
    asking,
    greeting,
    heard,
    hits,
    is_told,
    joined,
    keeping,
    misses,
    said,
    watched,
)
from tests.support.lane import (
    Worker,
    call,
    lane_worker,
    legacy_call,
    legacy_request,
)
from tests.support.loop import PATIENCE_S, eventually, on_loop
from tests.support.messages import notification
from tests.support.raw_server import Came, Peer, RawServer, result
from tests.support.raw_server import whole as answer
from tests.support.wire import Wire

ERAS = pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])


class Asked:
    """A server of both eras that greets by itself and leaves calls to the test."""

    def __init__(self) -> None:
        self.told: list[str] = []
        """The notifications that have come."""
        self.gone = 0
        """How many connections have ended."""
        self._calls: asyncio.Queue[tuple[Peer, Came]] = asyncio.Queue()
        self.count = 0
        """How many calls have come."""

    async def serve(self, peer: Peer) -> None:
        """Take what comes on one connection until that ends."""
        try:
            while True:
                came = await peer.request()
                if is_told(came):
                    self.told.append(came.message["method"] if came.body else "")
                    await peer.send(ACCEPTED)
                elif came.message["method"] == "initialize":
                    await peer.send(greeting(came))
                else:
                    self.count += 1
                    self._calls.put_nowait((peer, came))
        finally:
            self.gone += 1

    async def call(self) -> tuple[Peer, Came]:
        """Return the next call, and the connection on which it came."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._calls.get()

    async def answer(self, text: str) -> None:
        """Answer the next call."""
        peer, came = await self.call()
        await peer.send(answer(result(came.id, text)))


class Scene:
    """A worker before such a server, and clients that have all made the same call."""

    def __init__(self, server: Asked, worker: Worker, wires: list[Wire], session: str) -> None:
        self.server = server
        self.worker = worker
        self.wires = wires
        self.session = session

    def ask(self, number: object, text: str = "a") -> bytes:
        """Write a call."""
        if self.session:
            return legacy_call(self.session, number, text)
        return call(number, text)

    async def send(self, *numbers: int) -> None:
        """Have these clients make the same call; returns when it has come, and the others wait."""
        before, waited = self.server.count, joined(self.worker)
        for at, number in enumerate(numbers):
            await self.wires[number].send(self.ask(number))
            await eventually(lambda: self.server.count == before + 1, "the call to come")
            await eventually(partial(self._waits, waited + at), "the others to wait")

    def _waits(self, count: int) -> bool:
        return joined(self.worker) == count

    async def leave(self, number: int, seen: list[str]) -> None:
        """Have a client go; returns when that is noticed, and recorded as the last thing seen."""
        before = len(seen)
        self.wires[number].writer.transport.abort()
        await eventually(lambda: len(seen) > before, "the client to be gone")
        assert seen[before:] == ["cancelled"]

    async def texts(self, *numbers: int) -> list[str]:
        """Return what these clients are answered, each under the id of its own call."""
        heard_all = [await heard(self.wires[number]) for number in numbers]
        assert [one for one, _ in heard_all] == list(numbers)
        return [text for _, text in heard_all]


@asynccontextmanager
async def scene(
    fast: bool, clients: int, era: Era = Era.MODERN, **proxy: Any
) -> AsyncIterator[Scene]:
    """Serve."""
    server = Asked()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(RawServer(server.serve).open())
        worker = await stack.enter_async_context(
            lane_worker(url, era, config=keeping(url, **proxy), fast=fast)
        )
        wires = [await stack.enter_async_context(worker.wire()) for _ in range(clients)]
        session = worker.session() if era is Era.LEGACY else ""
        subject = Scene(server, worker, wires, session)
        if session:  # the server is greeted on the common way
            await wires[0].send(subject.ask("first", "another"))
            await server.answer("welcome")
            assert await heard(wires[0]) == ("first", "welcome")
        yield subject


@ERAS
@WAYS
@on_loop
async def test_equal_calls_wait_for_the_one_that_is_under_way(era: Era, fast: bool) -> None:
    """All get its answer, and so does who comes later."""
    async with scene(fast, 5, era) as subject:
        missed = misses(subject.worker)
        await subject.send(0, 1, 2, 3, 4)
        await subject.server.answer("one")
        assert await subject.texts(0, 1, 2, 3, 4) == ["one"] * 5
        assert await said(subject.wires[0], subject.ask(9)) == (9, "one")
        worker = subject.worker
        assert (misses(worker) - missed, joined(worker), hits(worker)) == (1, 4, 1)


@ERAS
@WAYS
@on_loop
async def test_a_client_that_leaves_does_not_end_the_call_for_others(era: Era, fast: bool) -> None:
    """Nor is its answer lost; it is counted as cancelled, the call as one that went well."""
    async with scene(fast, 3, era) as subject:
        seen = watched(subject.worker)
        await subject.send(0, 1, 2)
        await subject.leave(0, seen)
        await subject.server.answer("one")
        assert await subject.texts(1, 2) == ["one"] * 2
        assert seen == ["cancelled", "ok", "ok"]
        assert await said(subject.wires[1], subject.ask(9)) == (9, "one")
        assert subject.server.gone == 0
        assert subject.worker.under_way == 0


@ERAS
@WAYS
@on_loop
async def test_a_call_for_which_nobody_waits_any_more_is_ended(era: Era, fast: bool) -> None:
    """With its connection, and nothing of it is kept; the next call is made."""
    async with scene(fast, 4, era) as subject:
        seen = watched(subject.worker)
        await subject.send(0, 1, 2)
        for number in range(3):
            assert subject.server.gone == 0
            await subject.leave(number, seen)
        await eventually(lambda: subject.server.gone, "the connection to end")
        await subject.server.call()
        await subject.wires[3].send(subject.ask(3))
        await subject.server.answer("two")
        assert await subject.texts(3) == ["two"]
        assert subject.worker.under_way == 0


@WAYS
@on_loop
async def test_a_legacy_client_that_cancels_its_call_does_not_end_it_for_others(fast: bool) -> None:
    """Nor may it cancel it twice; its connection goes on."""
    async with scene(fast, 3, Era.LEGACY) as subject:
        await subject.send(0, 1)
        no_more = notification("notifications/cancelled", {"requestId": 0})
        for _ in range(2):
            await subject.wires[2].send(legacy_request(subject.session, no_more))
            assert (await subject.wires[2].reply()).status == 202
        refused = json.loads((await subject.wires[0].reply()).body)
        assert (refused["id"], refused["error"]["code"]) == (0, -32800)
        assert subject.worker.under_way == int(fast)  # which the lane alone counts
        await subject.server.answer("one")
        assert await subject.texts(1) == ["one"]
        assert "notifications/cancelled" not in subject.server.told
        assert await said(subject.wires[1], subject.ask(9)) == (9, "one")


@WAYS
@pytest.mark.parametrize("change", ["everything", "server", "tool", "another tool"])
@on_loop
async def test_an_answer_that_was_under_way_at_a_change_is_not_kept(
    change: str, fast: bool
) -> None:
    """And who comes after the change does not wait for it."""
    async with scene(fast, 2) as subject:
        await subject.send(0)
        shared = subject.worker.graph.context.shared
        epochs = CacheEpochs(shared.memory, shared.ended_lock)
        match change:
            case "everything":
                epochs.everything()
            case "server":
                epochs.server(0)
            case "tool":
                epochs.target(0, TOOL, "echo")
            case "another tool":
                epochs.target(0, TOOL, "other")
        is_other = change == "another tool"
        if not is_other:
            await subject.send(1)
        for text in ["one"] if is_other else ["one", "two"]:
            await subject.server.answer(text)
        if not is_other:
            assert await subject.texts(0, 1) == ["one", "two"]
        assert await subject.texts(*([0] if is_other else [])) == (["one"] if is_other else [])
        kept = "one" if is_other else "two"
        assert await said(subject.wires[1], subject.ask(9)) == (9, kept)


@WAYS
@on_loop
async def test_who_waits_is_told_of_the_failure_of_the_call(fast: bool) -> None:
    """Whether the server breaks off or takes too long; nothing is kept."""
    async with scene(fast, 3, timeout="1s") as subject:
        await subject.send(0, 1)
        peer, _ = await subject.server.call()
        peer.reset()
        for number in (0, 1):
            assert "error" in json.loads((await subject.wires[number].reply()).body)
        await subject.send(0, 1)
        for number in (0, 1):
            await subject.wires[number].reader.readuntil(b"did not answer")
        await subject.server.call()
        await subject.send(2)
        await subject.server.answer("three")
        assert await subject.texts(2) == ["three"]
        assert hits(subject.worker) == 0


@WAYS
@on_loop
async def test_an_answer_that_wants_something_sends_the_others_off_to_call(fast: bool) -> None:
    """Each for itself; only the first has what the server asked of it."""
    async with scene(fast, 3) as subject:
        await subject.send(0, 1, 2)
        peer, came = await subject.server.call()
        await peer.send(asking(came, 0))
        first = json.loads((await subject.wires[0].reply()).body)
        assert first["result"]["resultType"] == "input_required"
        for text in ("two", "three"):
            await subject.server.answer(text)
        assert set(await subject.texts(1, 2)) == {"two", "three"}


@WAYS
@on_loop
async def test_when_a_server_has_forgotten_its_session_one_call_is_sent_again(fast: bool) -> None:
    """For all who wait; none of them is counted twice."""
    async with scene(fast, 3, Era.LEGACY) as subject:
        missed = misses(subject.worker)
        await subject.send(0, 1, 2)
        peer, _ = await subject.server.call()
        await peer.send(answer(b"", status=b"404 Not Found"))
        await subject.server.answer("one")
        assert await subject.texts(0, 1, 2) == ["one"] * 3
        assert (misses(subject.worker) - missed, joined(subject.worker)) == (1, 2)
        assert await said(subject.wires[0], subject.ask(9)) == (9, "one")
