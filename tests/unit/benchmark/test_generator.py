"""Sending on time, and counting everything that can become of a call, on real sockets."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from only1mcp.benchmark.generator import Generator
from only1mcp.benchmark.plan import LEGACY, CannotMeasure, Plan
from only1mcp.benchmark.report import Report
from tests.support.loop import on_loop
from tests.support.raw_server import Came, Peer, RawServer, Serve, result, whole

NONCE = '{"text":"{nonce}"}'
FAST = 2000.0


async def run(serve: Serve, **changes: object) -> Report:
    """Send calls to a server that serves like this; returns the report."""
    settings = {"rate": FAST, "duration_s": 0.05, "connections": 4, "timeout_s": 20.0, **changes}
    async with RawServer(serve).open() as url:
        generator = Generator(Plan(url, "echo", NONCE, **settings))  # type: ignore[arg-type]
        await generator.prepare()
        return await generator.run(time.monotonic())


def good(came: Came) -> bytes:
    """Answer a call as it should be."""
    return whole(result(came.id, came.message["params"]["arguments"]["text"]))


async def echo(peer: Peer) -> None:
    """Answer every call."""
    while True:
        await peer.send(good(await peer.request()))


@on_loop
async def test_every_call_has_an_outcome() -> None:
    """As many as the rate and the time make, on connections that are kept."""
    report = await run(echo)
    assert (report.calls, report.ok.count, report.failures) == (100, 100, {})
    assert (report.service.count, report.lateness.count) == (100, 100)
    assert report.connections >= 4
    assert not report.interrupted


@on_loop
async def test_a_schedule_says_when_calls_are_due() -> None:
    """All of the plan's calls may be due at once, long after its rate would have had them sent."""

    class AtOnce:
        def due(self, elapsed_s: float) -> int:
            return 0 if elapsed_s < 0.4 else 100

        def moment(self, _: int) -> float:
            return 0.4

    async with RawServer(echo).open() as url:
        generator = Generator(Plan(url, "echo", NONCE, FAST, 0.05), AtOnce())
        await generator.prepare()
        report = await generator.run(time.monotonic())
    assert report.ok.count == 100
    assert report.elapsed_s >= 0.4


@on_loop
async def test_calls_are_sent_though_none_is_answered() -> None:
    """A server that waits for all of them before it answers any gets them all."""
    came: list[int] = []
    all_came = asyncio.Event()

    async def hold(peer: Peer) -> None:
        while True:
            call = await peer.request()
            came.append(call.id)
            if len(came) > 100:  # one of them is the first, which stood alone
                all_came.set()
            if len(came) > 1:
                await all_came.wait()
            await peer.send(good(call))

    report = await run(hold)
    assert (report.ok.count, report.failures, report.connections) == (100, {}, 100)
    assert len(set(came)) == 101


@on_loop
async def test_the_time_that_a_call_waited_for_its_turn_counts() -> None:
    """One connection, and a server that stalls once: all calls behind have waited for it."""
    stalled: list[int] = []

    async def stall(peer: Peer) -> None:
        while True:
            call = await peer.request()
            stalled.append(call.id)
            if len(stalled) == 2:
                await asyncio.sleep(0.3)  # what a server does that stalls
            await peer.send(good(call))

    report = await run(stall, connections=1, max_connections=1)
    assert report.ok.count == 100
    assert report.ok.min_us > 200_000  # the last was due 50 ms after the first
    assert report.service.min_us < report.ok.min_us


def wrong(kind: str) -> Callable[[Came], bytes]:
    """Return a way to answer that ends in this kind of failure."""
    return {
        "answer with another id": lambda came: whole(result(came.id + 1)),
        "answer without the nonce": lambda came: whole(result(came.id, "another")),
        "tool error": lambda came: whole(result(came.id, isError=True)),
        "error -32603": lambda came: whole(
            json.dumps({"jsonrpc": "2.0", "id": came.id, "error": {"code": -32603}}).encode()
        ),
        "HTTP 503": lambda _: whole(b"{}", status=b"503 Service Unavailable"),
        "no JSON-RPC answer": lambda _: whole(b"<html>"),
        "no HTTP response": lambda _: b"220 mail\r\n\r\n",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["answer with another id", "answer without the nonce", "tool error", "error -32603",
     "HTTP 503", "no JSON-RPC answer", "no HTTP response"],
)  # fmt: skip
@on_loop
async def test_each_kind_of_failure_is_counted(kind: str) -> None:
    """Every other call, and the rest goes on."""
    answer = wrong(kind)

    async def serve(peer: Peer) -> None:
        while True:
            came = await peer.request()
            await peer.send((good if came.id % 2 else answer)(came))

    report = await run(serve)
    assert (report.ok.count, report.failures) == (50, {kind: 50})
    assert report.examples[kind]


@on_loop
async def test_a_broken_connection_costs_its_call() -> None:
    """The next one opens another."""

    async def serve(peer: Peer) -> None:
        while (came := await peer.request()).id % 2:
            await peer.send(good(came))
        peer.reset()

    report = await run(serve)
    assert (report.ok.count, report.failures) == (50, {"connection lost": 50})


@on_loop
async def test_a_connection_that_the_server_closes_in_order_costs_nothing() -> None:
    """It said so in its answer."""

    async def serve(peer: Peer) -> None:
        came = await peer.request()
        text = came.message["params"]["arguments"]["text"]
        await peer.send(whole(result(came.id, text), b"Connection: close"))

    report = await run(serve)
    assert (report.ok.count, report.failures) == (100, {})


@on_loop
async def test_calls_that_are_never_answered_end_the_run_all_the_same() -> None:
    """Those on a connection and those that wait for one."""
    first: list[Came] = []

    async def serve(peer: Peer) -> None:
        while True:
            first.append(await peer.request())
            if len(first) == 1:
                await peer.send(good(first[0]))

    report = await run(serve, connections=2, max_connections=2, timeout_s=1.0)
    assert (report.ok.count, report.calls, report.unfinished) == (0, 100, 0)
    assert set(report.failures) <= {"timeout", "never sent"}
    assert report.failures["timeout"] >= 2


@on_loop
async def test_a_run_that_is_stopped_reports_what_there_is() -> None:
    """What was under way is no failure."""
    held: list[Came] = []
    generator: list[Generator] = []

    async def serve(peer: Peer) -> None:
        while True:
            held.append(await peer.request())
            if len(held) == 1:
                await peer.send(good(held[0]))
            elif len(held) == 11:
                generator[0].stop()

    async with RawServer(serve).open() as url:
        generator.append(Generator(Plan(url, "echo", NONCE, rate=FAST, duration_s=3600.0)))
        await generator[0].prepare()
        report = await generator[0].run(time.monotonic())
    assert report.interrupted
    assert (report.calls, report.unfinished >= 10) == (0, True)


@on_loop
async def test_a_server_whose_first_answer_is_wrong_is_not_measured() -> None:
    """How quickly it fails is of no interest."""

    async def serve(peer: Peer) -> None:
        await peer.send(whole(result((await peer.request()).id, isError=True)))

    with pytest.raises(CannotMeasure, match="tool error") as caught:
        await run(serve)
    assert caught.value.code == "CALL_FAILED"


@pytest.mark.parametrize("session", [b"abc", None])
@on_loop
async def test_a_legacy_run_opens_a_session_first(session: bytes | None) -> None:
    """And uses it, if the server gives it a name."""
    came: list[Came] = []

    async def serve(peer: Peer) -> None:
        while True:
            call = await peer.request()
            came.append(call)
            if call.message["method"] == "initialize":
                lines = [] if session is None else [b"Mcp-Session-Id: " + session]
                await peer.send(whole(result(call.id), *lines))
            elif call.id is None:
                await peer.send(whole(b"", status=b"202 Accepted"))
            else:
                await peer.send(good(call))

    report = await run(serve, era=LEGACY)
    assert report.ok.count == 100
    methods = [call.message["method"] for call in came]
    assert methods == ["initialize", "notifications/initialized", *["tools/call"] * 101]
    named = {call.headers.get("mcp-session-id") for call in came[1:]}
    assert named == {None if session is None else session.decode()}


@pytest.mark.parametrize("rate", [0.5, 100_000.0])
@on_loop
async def test_any_rate_is_kept(rate: float) -> None:
    """Of a single call in that time, and of many at once."""
    report = await run(echo, rate=rate, duration_s=0.01)
    assert report.ok.count == report.calls == max(round(rate * 0.01), 1)
