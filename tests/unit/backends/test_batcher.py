"""Calls that travel together: how many do, and what each gets of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from only1mcp._speedups import Envelope
from only1mcp.backends.batch import MAX_BYTES
from only1mcp.backends.batcher import Batcher
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import BackendError, BackendUnreachable
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Batching
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp, make_client
from tests.support.batch_site import BatchSite, Plain, always, in_one_array, refusal
from tests.support.loop import eventually, on_loop

LONG_S = 3600.0
"""Nobody waits for this: the number of calls sends the batch."""


def call(n: object, **more: Any) -> Outgoing:
    """Write a call that can be told from others."""
    params = json.dumps({"name": "x", "arguments": {"n": n}}).encode()
    return Outgoing("tools/call", params, Era.LEGACY, "x", **more)


def said(reply: Envelope) -> object:
    """Return which call is answered."""
    return json.loads(reply.body)["result"]["said"]["arguments"]["n"]


class Company:
    """A session whose calls travel together, and what it counts."""

    def __init__(self, url: str, policy: Batching) -> None:
        self.tasks = Tasks()
        self.counted: list[int] = []
        self.client = make_client()
        wire = StreamableHttp(self.client, "srv", url, {})
        batcher = Batcher("srv", wire, policy, self.tasks, self._count)
        self.session = HttpSession("srv", wire, 30.0, self.tasks, batcher=batcher)

    def _count(self, server_id: str, members: int) -> None:
        assert server_id == "srv"
        self.counted.append(members)

    async def close(self) -> None:
        """Let go of the server."""
        await self.tasks.cancel_all()
        await self.client.close()

    def ask(self, outgoing: Outgoing) -> "asyncio.Task[Envelope]":
        """Begin a call."""
        return asyncio.get_running_loop().create_task(self.session.request(outgoing))

    async def gather(self, *calls: Outgoing) -> list[object]:
        """Make calls at the same time; returns which was answered to each, or its failure."""
        ended = await asyncio.gather(*map(self.session.request, calls), return_exceptions=True)
        for one in ended:
            assert isinstance(one, Envelope | BackendError), one
        return [said(one) if isinstance(one, Envelope) else one for one in ended]


@asynccontextmanager
async def company(
    site: BatchSite, window_s: float = LONG_S, most: int = 3, **more: Any
) -> AsyncIterator[Company]:
    """Stand with a server."""
    async with site.open() as url:
        subject = Company(url, Batching(window_s, most, **more))
        try:
            yield subject
        finally:
            await subject.close()


@on_loop
async def test_calls_of_one_window_are_one_round_trip() -> None:
    """Each gets its own answer, in whatever order they stand."""
    site = BatchSite()
    async with company(site, most=20) as subject:
        assert await subject.gather(*map(call, range(20))) == list(range(20))
    assert [len(post) for post in site.posts] == [20]
    assert subject.counted == [20]


@on_loop
async def test_a_window_that_is_over_sends_what_there_is() -> None:
    """A call that stayed alone is sent as it always was."""
    site = BatchSite()
    async with company(site, window_s=0.02) as subject:
        assert await subject.gather(call(1), call(2)) == [1, 2]
        assert await subject.gather(call(3)) == [3]
    assert [type(post) for post in site.posts] == [list, dict]
    assert subject.counted == [2]


@on_loop
async def test_more_calls_than_a_batch_holds_are_several_batches() -> None:
    """And so are calls with too many bytes."""
    site = BatchSite()
    async with company(site, most=2) as subject:
        assert await subject.gather(*map(call, range(6))) == list(range(6))
        large = ["x" * (MAX_BYTES // 2), "y" * (MAX_BYTES // 2), 1]
        assert await subject.gather(*map(call, large)) == large
    assert [len(batch) for batch in site.batches] == [2, 2, 2, 2]
    assert len(site.posts) == 5


@pytest.mark.parametrize(
    ("version", "any_revision", "expected"),
    [("2025-03-26", False, 1), ("2025-06-18", False, 0), ("2025-11-25", True, 1)],
)
@on_loop
async def test_batches_are_sent_to_those_who_take_them(
    version: str, any_revision: bool, expected: int
) -> None:
    """Servers of 2025-03-26, and others of which configuration says so."""
    site = BatchSite(version)
    async with company(site, any_revision=any_revision) as subject:
        assert await subject.gather(*map(call, range(3))) == [0, 1, 2]
    assert len(site.batches) == expected


@on_loop
async def test_a_modern_call_travels_alone() -> None:
    """2026-07-28 has no batches."""
    site = BatchSite()
    async with company(site, any_revision=True) as subject:
        site.sessions.add(None)  # type: ignore[arg-type]  # a modern request names none
        calls = [Outgoing("tools/call", b'{"name":"x"}', Era.MODERN, "x") for _ in range(3)]
        await asyncio.gather(*map(subject.session.request, calls))
    assert [type(post) for post in site.posts] == [dict] * 3


@pytest.mark.parametrize(
    "response",
    [
        lambda: refusal(-32600, 400), lambda: refusal(-32700, 200), lambda: refusal(-32602, 422),
        lambda: web.Response(status=400, text="<h1>no</h1>"), lambda: web.Response(status=413),
    ],
)  # fmt: skip
@on_loop
async def test_a_server_that_refuses_batches_gets_its_calls_one_by_one(
    response: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the batch too, for it did not run; that is logged once."""
    site = BatchSite()
    site.answer = always(response)
    async with company(site) as subject:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert await subject.gather(*map(call, range(6))) == list(range(6))
    assert len(site.batches) <= 2
    assert len(site.posts) - len(site.batches) == 18
    (said,) = (one.message for one in caplog.records if "no batches" in one.message)
    assert f"(HTTP {response().status}): its calls travel alone from now on" in said


@pytest.mark.parametrize("status", [404, 400])
@on_loop
async def test_a_forgotten_session_is_opened_again_for_the_whole_batch(status: int) -> None:
    """Once; the new session gets batches again."""
    site = BatchSite()
    site.forgotten_status = status
    async with company(site) as subject:
        assert await subject.gather(*map(call, range(3))) == [0, 1, 2]
        site.sessions.clear()
        assert await subject.gather(*map(call, range(3))) == [0, 1, 2]
        assert await subject.gather(*map(call, range(3))) == [0, 1, 2]
    assert site.opened == 2
    assert isinstance(site.posts[-1], list)


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503])
@on_loop
async def test_an_outage_fails_each_call_and_none_is_sent_twice(status: int) -> None:
    """A server that breaks on arrays gets none after that."""
    site = BatchSite()
    site.answer = always(lambda: web.Response(status=status))
    async with company(site) as subject:
        failures = await subject.gather(*map(call, range(3)))
        assert all(isinstance(one, BackendError) for one in failures)
        assert len(site.posts) == 1
        await subject.gather(*map(call, range(3)))
    assert isinstance(site.posts[-1], dict if status == 500 else list)


@on_loop
async def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    """So another instance may be asked."""
    site = BatchSite()
    async with site.open() as url:
        subject = Company(url, Batching(LONG_S, 3))
        assert await subject.gather(*map(call, range(3))) == [0, 1, 2]
    failures = await subject.gather(*map(call, range(3)))
    await subject.close()
    assert all(isinstance(one, BackendUnreachable) for one in failures)


@on_loop
async def test_a_call_that_is_given_up_before_it_was_sent_is_never_sent() -> None:
    """Nor is it cancelled there."""
    site = BatchSite()
    async with company(site) as subject:
        await subject.session.hello()
        first = subject.ask(call("gone"))
        second = subject.ask(call(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await subject.gather(call(3), call(4)) == [3, 4]
        assert said(await second) == 2
        await subject.session.flushed()
    assert "gone" not in json.dumps(site.posts)
    assert site.cancelled == []


@on_loop
async def test_a_call_that_is_given_up_later_is_cancelled_there() -> None:
    """The others get their answers."""
    site, asked, go = BatchSite(), asyncio.Event(), asyncio.Event()

    async def held(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        asked.set()
        await go.wait()
        return await in_one_array(request, batch)

    site.answer = held
    async with company(site) as subject:
        tasks = [subject.ask(call(n)) for n in range(3)]
        await asked.wait()
        tasks[1].cancel()
        await eventually(lambda: site.cancelled, "the cancellation")
        assert site.cancelled == [one["id"] for one in site.posts[0]][1:2]
        go.set()
        assert [said(await tasks[n]) for n in (0, 2)] == [0, 2]


@on_loop
async def test_when_all_calls_are_given_up_the_connection_is_closed() -> None:
    """Each is cancelled, too: a legacy server need not understand a closed connection."""
    site, asked, closed = BatchSite(), asyncio.Event(), asyncio.Event()

    async def held(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        del request, batch
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()
        raise AssertionError

    site.answer = held
    async with company(site) as subject:
        tasks = [subject.ask(call(n)) for n in range(3)]
        await asked.wait()
        for task in tasks:
            task.cancel()
        await closed.wait()
        await eventually(lambda: len(site.cancelled) == 3, "the cancellations")
