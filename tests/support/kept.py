"""A worker that keeps what its server answers, on this loop; what it counts, and whom it asks."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp import _speedups
from only1mcp._speedups import HITS, JOINED, MISSES
from only1mcp.proxy.journey import Outcome
from tests.support.lane import Worker
from tests.support.raw_server import Came, Peer, result
from tests.support.raw_server import whole as answer
from tests.support.wire import Wire

WAYS = pytest.mark.parametrize(
    "fast",
    [pytest.param(False, id="common"),
     pytest.param(True, id="lane", marks=pytest.mark.skipif(
         not _speedups.COMPILED, reason="the lane is compiled only"))],
)  # fmt: skip
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
GREETING = {"protocolVersion": "2025-11-25", "capabilities": {}}


class Counting:
    """Answers every call with its text and the number of calls so far; speaks both eras."""

    def __init__(self, more: str = "", write: Callable[[Came, int], bytes] | None = None) -> None:
        self.count = 0
        self._more = more
        self._write = write

    async def serve(self, peer: Peer) -> None:
        """Answer until the connection ends."""
        while True:
            came = await peer.request()
            if is_told(came):
                await peer.send(ACCEPTED)
            elif came.message["method"] == "initialize":
                await peer.send(greeting(came))
            else:
                self.count += 1
                await peer.send((self._write or self._said)(came, self.count))

    def _said(self, came: Came, number: int) -> bytes:
        text = came.message["params"]["arguments"]["text"]
        return answer(result(came.id, f"{text} {number}{self._more}"))


def is_told(came: Came) -> bool:
    """Say whether a request wants no answer: a notification, or the end of a session."""
    return not came.body or came.id is None


def greeting(came: Came) -> bytes:
    """Write what a legacy server answers to `initialize`."""
    body = {"jsonrpc": "2.0", "id": came.id, "result": GREETING}
    return answer(json.dumps(body).encode(), b"Mcp-Session-Id: one")


def keeping(url: str, **proxy: Any) -> dict[str, Any]:
    """Return the configuration of a worker that keeps what `echo` answers."""
    return {
        "proxy": {"cache": {"enabled": True}, **proxy},
        "servers": [
            {"id": "s", "transport": "http", "url": url, "cache": {"tools": {"echo": "1h"}}}
        ],
    }


def asking(came: Came, number: int) -> bytes:
    """Want something of the client."""
    wanted = {"resultType": "input_required", "requestState": f"{number}", "inputRequests": {}}
    return answer(json.dumps({"jsonrpc": "2.0", "id": came.id, "result": wanted}).encode())


async def said(wire: Wire, request: bytes) -> tuple[Any, str]:
    """Send a call; return the id and the text of its answer."""
    await wire.send(request)
    return await heard(wire)


async def heard(wire: Wire) -> tuple[Any, str]:
    """Return the id and the text of the answer to a call."""
    reply = await wire.reply()
    assert reply.status == 200
    message = json.loads(reply.body)
    return message["id"], message["result"]["content"][0]["text"]


def taken(worker: Worker) -> int:
    """Return how many messages have taken the common way."""
    return worker.graph.pipeline._count


def hits(worker: Worker) -> int:
    """Return how many answers were given again."""
    return _counted(worker, HITS)


def joined(worker: Worker) -> int:
    """Return how many calls have waited for the answer to another."""
    return _counted(worker, JOINED)


def misses(worker: Worker) -> int:
    """Return how many calls were made because their answers were not there."""
    return _counted(worker, MISSES)


def _counted(worker: Worker, at: int) -> int:
    context = worker.graph.context
    return context.metrics.row[context.shared.metrics_plan.shelf(0) + at]


def watched(worker: Worker) -> list[str]:
    """Return what becomes of requests, as far as the compiled part does not count it alone."""
    seen: list[str] = []
    record = worker.parts.record

    def recorded(outcome: Outcome) -> None:
        seen.append(outcome.status)
        record(outcome)

    worker.parts.record = recorded
    return seen
