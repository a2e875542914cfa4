"""Recognising a request at the socket: what is certain goes on, all else to aiohttp."""

import asyncio
import json
from contextlib import AsyncExitStack

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.measure import growth
from only1mcp import _speedups
from only1mcp._speedups import scan
from only1mcp.ingress.http1 import Framer
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import classify
from tests.support.lane import call, lane_worker, modern_request
from tests.support.messages import MODERN, modern

LIST = modern_request("tools/list", "", modern("tools/list"))
CALL = call(7, "x" * 200)
BODY = CALL.partition(b"\r\n\r\n")[2]
MOST = {True: 15.0, False: 250.0}
MOST_FRONT = 3.0
"""Times the cost of the reference below."""


def reference() -> object:
    """Cut a head and parse a body as simply as Python can, and refuse nothing."""
    head, _, body = CALL.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return fields, orjson.loads(body)


def framed() -> object:
    """Frame a request, scan its body and classify it, in the twin that aiohttp's door uses."""
    Framer(32_768, 4_194_304).feed(CALL)
    headers = McpHeaders(version=MODERN, method="tools/call", name="s__echo")
    return classify(scan(BODY), headers)


@pytest.mark.gate
@pytest.mark.benchmark(group="recogniser, one request", max_time=0.3)
def test_framing_and_classifying_cost_little_more_than_parsing(benchmark: BenchmarkFixture) -> None:
    """Though every rule of HTTP and of MCP is checked."""
    benchmark(framed)
    assert growth(reference, framed) < MOST[_speedups.COMPILED]


class Sink(asyncio.Transport):
    """Counts what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take an answer."""
        self.written += 1
        self.last = bytes(data)

    def abort(self) -> None:
        """Nothing is open."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Come from this machine."""
        return ("127.0.0.1", 1) if name == "peername" else default


@pytest.mark.gate
@pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")
@pytest.mark.benchmark(group="recogniser, one request", max_time=0.3)
def test_the_compiled_front_recognises_and_answers_at_the_cost_of_parsing(
    benchmark: BenchmarkFixture,
) -> None:
    """A list, from the bytes of the request to those of the answer, which stand ready."""

    async def measured() -> float:
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(lane_worker("http://127.0.0.1:9/mcp"))
            wire = await stack.enter_async_context(worker.wire())
            await wire.send(LIST)  # the first takes the common way, and leaves the answer ready
            assert json.loads((await wire.reply()).body)["result"]["tools"]
            front, sink = worker.lane.front(), Sink()
            front.connection_made(sink)
            stack.callback(front.connection_lost, None)
            feed = front.data_received
            feed(LIST)
            assert sink.written == 1
            benchmark(feed, LIST)
            assert sink.last.startswith(b"HTTP/1.1 200")
            return growth(reference, lambda: feed(LIST))

    assert asyncio.run(measured()) < MOST_FRONT
