"""Calls whose answers are not kept yet: the same on the lane, which makes them, and past it."""

import json
from collections.abc import Callable

import pytest

from only1mcp.protocol.versions import Era
from tests.support.kept import (
    WAYS,
    Counting,
    asking,
    hits,
    joined,
    keeping,
    misses,
    said,
    taken,
)
from tests.support.lane import (
    URI,
    Worker,
    call,
    lane_worker,
    legacy_call,
    modern_request,
)
from tests.support.loop import eventually, on_loop
from tests.support.messages import modern, notification
from tests.support.raw_server import CHUNKED, EVENTS, Came, RawServer, chunk, event, result
from tests.support.raw_server import whole as answer

ERAS = pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])


def plain(body: bytes) -> bytes:
    """Answer with JSON of a known length."""
    return answer(body)


def streamed(body: bytes) -> bytes:
    """Answer with an event whose length is known."""
    data = event(body)
    return EVENTS + b"Content-Length: %d\r\n\r\n" % len(data) + data


def chunked(body: bytes) -> bytes:
    """Answer with an event in chunks."""
    return EVENTS + CHUNKED + chunk(event(body)) + b"0\r\n\r\n"


def in_pieces(body: bytes) -> bytes:
    """Answer with JSON in chunks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + CHUNKED
    return head + chunk(body[:20]) + chunk(body[20:]) + b"0\r\n\r\n"


def asks(worker: Worker, era: Era) -> Callable[[object, str], bytes]:
    """Return what writes calls of an era."""
    if era is Era.MODERN:
        return call
    session = worker.session()
    return lambda number, text: legacy_call(session, number, text)


@ERAS
@WAYS
@pytest.mark.parametrize("write", [plain, streamed, chunked, in_pieces])
@on_loop
async def test_what_a_server_answers_is_kept_however_it_writes(
    era: Era, fast: bool, write: Callable[[bytes], bytes]
) -> None:
    """The next equal call is a hit, and another one is not."""
    backend = Counting(write=lambda came, n: write(result(came.id, f"{n}")))
    async with (
        RawServer(backend.serve).open() as url,
        lane_worker(url, era, config=keeping(url), fast=fast) as worker, worker.wire() as wire,
    ):  # fmt: skip
        ask = asks(worker, era)
        texts = [(await said(wire, ask(n, text)))[1] for n, text in enumerate("abaab")]
        assert texts == ["1", "2", "1", "1", "2"]
        assert (misses(worker), hits(worker), joined(worker)) == (2, 3, 0)
        assert worker.parts.cache is not None
        assert len(worker.parts.cache.store) == 2


@on_loop
@WAYS
async def test_once_a_server_is_reached_misses_take_the_lane(fast: bool) -> None:
    """In both eras; past the lane each takes the common way."""
    for era in (Era.MODERN, Era.LEGACY):
        backend = Counting()
        async with (
            RawServer(backend.serve).open() as url,
            lane_worker(url, era, config=keeping(url), fast=fast) as worker,
            worker.wire() as wire,
        ):
            ask = asks(worker, era)
            await said(wire, ask(0, "first"))  # a legacy server is greeted on the common way
            before = taken(worker)
            for number, text in enumerate("abcd"):
                await said(wire, ask(number, text))
            assert (taken(worker) - before, misses(worker)) == (0 if fast else 4, 5)


def failed(came: Came, number: int) -> bytes:
    """Say that the tool has failed."""
    return plain(result(came.id, f"{number}", isError=True))


def refused(came: Came, number: int) -> bytes:
    """Answer with an error."""
    error = {"code": -32000, "message": f"{number}"}
    return plain(json.dumps({"jsonrpc": "2.0", "id": came.id, "error": error}).encode())


def broken(came: Came, number: int) -> bytes:
    """Answer with a status that stands for a failure."""
    return answer(b"%d" % number, status=b"500 Internal Server Error")


def telling(came: Came, number: int) -> bytes:
    """Say something before the answer."""
    params = {"level": "info", "data": number}
    first = notification("notifications/message", params)
    return EVENTS + CHUNKED + chunk(event(first) + event(result(came.id, "x"))) + b"0\r\n\r\n"


def foreign(came: Came, number: int) -> bytes:
    """Answer another request."""
    return plain(result(f"{came.id}{number}", "x"))


UNKEPT = [
    (Era.MODERN, failed), (Era.LEGACY, failed), (Era.MODERN, refused), (Era.LEGACY, refused),
    (Era.MODERN, broken), (Era.MODERN, asking), (Era.LEGACY, telling), (Era.MODERN, foreign),
]  # fmt: skip


@WAYS
@pytest.mark.parametrize(("era", "write"), UNKEPT)
@on_loop
async def test_an_answer_that_is_only_for_one_call_is_not_kept(
    era: Era, write: Callable[[Came, int], bytes], fast: bool
) -> None:
    """Each call is made."""
    backend = Counting(write=write)
    async with (
        RawServer(backend.serve).open() as url,
        lane_worker(url, era, config=keeping(url), fast=fast) as worker,
    ):
        ask = asks(worker, era)
        for number in range(3):
            async with worker.wire() as wire:
                await wire.send(ask(number, "a"))
                await wire.reader.readuntil(b"\r\n\r\n")
                await eventually(lambda: worker.under_way == 0, "the call to be over")
        assert backend.count == 3
        assert (misses(worker), hits(worker)) == (3, 0)


@WAYS
@on_loop
async def test_a_resource_is_kept_as_long_as_its_server_says(fast: bool) -> None:
    """And not at all when it says nothing."""

    def write(came: Came, number: int) -> bytes:
        hints = {"ttlMs": 60_000, "cacheScope": "private"} if came.message["params"]["hint"] else {}
        contents = [{"uri": URI, "text": f"{number}"}]
        value = {"resultType": "complete", "contents": contents, **hints}
        return plain(json.dumps({"jsonrpc": "2.0", "id": came.id, "result": value}).encode())

    backend = Counting(write=write)
    async with (
        RawServer(backend.serve).open() as url,
        lane_worker(url, config=keeping(url), fast=fast) as worker, worker.wire() as wire,
    ):  # fmt: skip
        texts = []
        for hint in (True, True, False, False):
            params = {"uri": URI, "hint": hint}
            await wire.send(modern_request("resources/read", URI, modern("resources/read", params)))
            texts.append(json.loads((await wire.reply()).body)["result"]["contents"][0]["text"])
        assert texts == ["1", "1", "2", "3"]
        assert (misses(worker), hits(worker)) == (3, 1)


@WAYS
@on_loop
async def test_parameters_that_are_too_long_to_keep_are_no_miss(fast: bool) -> None:
    """Each such call is made, like one of a tool whose answers are never kept."""
    backend = Counting()
    async with (
        RawServer(backend.serve).open() as url,
        lane_worker(url, config=keeping(url), fast=fast) as worker, worker.wire() as wire,
    ):  # fmt: skip
        long = "x" * 70_000
        texts = [(await said(wire, call(number, long)))[1] for number in range(2)]
        assert texts == [f"{long} 1", f"{long} 2"]
        assert (misses(worker), hits(worker)) == (0, 0)
