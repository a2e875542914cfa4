"""What a server says on the stream of a call: the same on the lane and past it."""

from typing import Any

import pytest

from only1mcp.memory.cache_epochs import RESOURCE
from only1mcp.protocol.versions import Era
from tests.support.kept import WAYS, Counting, hits, keeping, said, taken
from tests.support.lane import Worker, call, lane_worker, legacy_call
from tests.support.loop import on_loop
from tests.support.messages import notification
from tests.support.raw_server import CHUNKED, EVENTS, Came, RawServer, chunk, event, result
from tests.support.raw_server import whole as answer
from tests.support.wire import Wire

CHANGED, UPDATED = "notifications/tools/list_changed", "notifications/resources/updated"
ERAS = pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])


def saying(*methods: str, apart: bool = False) -> Counting:
    """Return a server that says this before it answers calls of the text `change`."""

    def write(came: Came, number: int) -> bytes:
        text = came.message["params"]["arguments"]["text"]
        reply = result(came.id, f"{text} {number}")
        if text != "change":
            return answer(reply)
        told = [event(notification(method, {"uri": "r://1"})) for method in methods]
        events = [*told, event(reply)]
        pieces = events if apart else [b"".join(events)]
        return b"".join([EVENTS, CHUNKED, *map(chunk, pieces), b"0\r\n\r\n"])

    return Counting(write=write)


class Client:
    """Makes calls of one era."""

    def __init__(self, worker: Worker, wire: Wire, era: Era) -> None:
        self._wire = wire
        self._session = worker.session() if era is Era.LEGACY else ""
        self._number = 0

    async def ask(self, text: str) -> str:
        """Make a call; return what it says."""
        self._number += 1
        number: Any = self._number
        request = legacy_call(self._session, number, text) if self._session else call(number, text)
        return (await said(self._wire, request))[1]


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@ERAS
@WAYS
@on_loop
async def test_what_was_kept_is_not_given_to_who_has_the_answer(
    fast: bool, era: Era, apart: bool
) -> None:
    """Nor is that answer itself, for its call was sent before the change."""
    server = RawServer(saying(CHANGED, apart=apart).serve)
    async with (
        server.open() as url,
        lane_worker(url, era, fast=fast, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):
        client = Client(worker, wire, era)
        assert [await client.ask("a"), await client.ask("a")] == ["a 1", "a 1"]
        assert await client.ask("change") == "change 2"
        assert await client.ask("a") == "a 3"
        assert await client.ask("change") == "change 4"
        assert hits(worker) == 1
        assert (taken(worker) < 2) is fast  # a legacy session is opened on the common way


@WAYS
@on_loop
async def test_an_update_is_of_its_resource_alone(fast: bool) -> None:
    """What tools have answered stays; the client is told nothing on its call."""
    server = RawServer(saying(UPDATED).serve)
    async with (
        server.open() as url,
        lane_worker(url, fast=fast, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):
        client, epochs = Client(worker, wire, Era.MODERN), worker.graph.asides._epochs
        server_word, word = epochs.places(0, RESOURCE, "r://1")
        before = [epochs.words[one] for one in (0, server_word, word)]
        assert await client.ask("a") == "a 1"
        assert await client.ask("change") == "change 2"
        after = [epochs.words[one] for one in (0, server_word, word)]
        assert after == [*before[:2], before[2] + 1]
        assert await client.ask("a") == "a 1"
