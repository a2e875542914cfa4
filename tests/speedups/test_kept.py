"""Answers that are kept, given in the fast lane: on real sockets, by the keys of the common way."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp import _speedups
from only1mcp._speedups import scan
from only1mcp.protocol.versions import Era
from only1mcp.proxy.cache import Kind, ResponseCache, Shelf
from only1mcp.proxy.cache_keys import bare_params, caller_part, whole
from only1mcp.proxy.flights import Flights
from tests.support.catalogues import server
from tests.support.kept import Counting, hits, keeping, misses, said, taken
from tests.support.lane import call, lane_worker, legacy_call
from tests.support.loop import on_loop
from tests.support.raw_server import RawServer
from tests.support.scripted_server import ScriptedServer

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")


@on_loop
async def test_an_equal_call_is_answered_in_the_lane() -> None:
    """Under its own id; the first was carried, too."""
    backend = Counting()
    async with (
        RawServer(backend.serve).open() as url, lane_worker(url, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        ways = taken(worker)
        first = await said(wire, call(1, "a"))
        assert [await said(wire, call(key, "a")) for key in ("x", 3)] == [("x", "a 1"), (3, "a 1")]
        assert (first, taken(worker) - ways, hits(worker), backend.count) == ((1, "a 1"), 0, 2, 1)
        assert await said(wire, call(4, "b")) == (4, "b 2")
        assert misses(worker) == 2


@on_loop
async def test_a_legacy_session_gets_what_another_one_has_asked_for() -> None:
    """It is the same caller, and neither can be asked anything."""
    server = ScriptedServer()
    async with (
        server.open() as url, lane_worker(url, Era.LEGACY, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        before = 0
        for number in range(4):
            before = taken(worker)
            await wire.send(legacy_call(worker.session(), number, "a"))
            message = json.loads((await wire.reply()).body)
            assert (message["id"], message["result"]) == (number, {"from": "srv"})
        assert (taken(worker) - before, hits(worker)) == (0, 3)
        assert server.methods.count("tools/call") == 1


@on_loop
async def test_calls_that_wait_on_one_connection_are_all_answered_in_order() -> None:
    """Those that are kept, and those that are not."""
    backend = Counting()
    async with (
        RawServer(backend.serve).open() as url, lane_worker(url, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        await said(wire, call(0, "a"))
        await wire.send(b"".join(call(number, text) for number, text in enumerate("aabaab")))
        replies = [json.loads((await wire.reply()).body) for _ in range(6)]
        assert [one["id"] for one in replies] == list(range(6))
        texts = [one["result"]["content"][0]["text"] for one in replies]
        assert texts == ["a 1", "a 1", "b 2", "a 1", "a 1", "b 2"]


@on_loop
async def test_a_large_answer_comes_out_whole() -> None:
    """It is not copied into one piece with its head."""
    backend = Counting("x" * 200_000)
    async with (
        RawServer(backend.serve).open() as url, lane_worker(url, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        texts = [(await said(wire, call(number, "a")))[1] for number in range(3)]
        assert texts == ["a 1" + "x" * 200_000] * 3


@on_loop
async def test_a_worker_that_stops_says_so_with_the_answer() -> None:
    """The connection closes behind it."""
    backend = Counting()
    async with (
        RawServer(backend.serve).open() as url, lane_worker(url, config=keeping(url)) as worker,
        worker.wire() as wire,
    ):  # fmt: skip
        await said(wire, call(1, "a"))
        worker.lane.draining = True
        await wire.send(call(2, "a"))
        reply = await wire.reply()
        assert reply.headers["connection"] == "close"
        assert (hits(worker), backend.count) == (1, 1)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda one: st.lists(one, max_size=2) | st.dictionaries(st.text(max_size=4), one, max_size=2),
    max_leaves=4,
)
_MEMBERS = st.permutations(["name", "_meta", "arguments", "other", "uri"])


@settings(max_examples=300, deadline=None)
@given(_MEMBERS, st.integers(0, 5), _VALUES, st.text(max_size=5), st.booleans(), st.booleans())
def test_the_lane_finds_answers_by_the_key_that_the_common_way_has_kept_them_by(
    order: list[str], count: int, value: Any, name: str, named: bool, spaced: bool
) -> None:
    """Whatever members the parameters have, in whatever order."""
    values = {"name": name, "_meta": {"a": value}, "arguments": {"b": value}, "other": value,
              "uri": name}  # fmt: skip
    params = {key: values[key] for key in order[:count]}
    separators = (" , ", " : ") if spaced else None
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    envelope = scan(json.dumps(body, separators=separators).encode())
    words = memoryview(bytearray(80)).cast("Q")
    store = _speedups.Lru(1, words, words)
    cache = ResponseCache(store, lambda *_: (1, 2), words, lambda _: 0, time.monotonic)
    kind = Kind(Shelf(server("s"), 0, 0, 0), 1.0, False, (1, 2))
    subject = _speedups.Keeping(
        store, b"common", named, False, (0, 0), kind, Flights(cache), None
    )  # fmt: skip
    part = caller_part("ann")
    expected = whole(b"common", part, bare_params(envelope, named))
    assert subject.key(envelope, part) == expected
