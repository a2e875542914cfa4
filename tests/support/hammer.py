"""Many clients that behave in every way they can, before a server that does so, too.

What they do follows from a seed. Whatever happens, each call gets its own answer or one clear
error, and nothing is left behind in the worker.
"""

import asyncio
import itertools
import json
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.versions import Era
from tests.support.lane import Worker, call, lane_worker, legacy_call, modern_request
from tests.support.loop import eventually
from tests.support.messages import modern
from tests.support.moody_server import RIGHT, WRONG, MoodyServer, pieces_of
from tests.support.raw_server import RawServer
from tests.support.wire import Wire

_LIST = modern_request("tools/list", "x", modern("tools/list"))
_ODD_ENDS = [
    b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    b"POST /mcp HTTP/1.1\r\nHost: a\n\n",
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000,
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n",
]  # fmt: skip
_PATIENCE_S = 60.0


@dataclass(slots=True)
class Tally:
    """What came of it all."""

    answered: int = 0
    refused: int = 0
    dropped: int = 0
    """Calls whose client went away on purpose."""
    reasons: Counter[str] = field(default_factory=Counter)


class Errors(logging.Handler):
    """Keeps what is logged as an error: there must be none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.texts.append(self.format(record))


class Hammer:
    """One run.

    Args:
        seed: what it decides everything by.
        era: of the clients.
        server: of the server; what the two say to each other is translated if it is another.
    """

    def __init__(self, seed: int, era: Era, server: Era) -> None:
        self._rng = random.Random(seed)
        self._era, self._servers = era, server
        self._numbers = itertools.count(1)
        self.server = MoodyServer(random.Random(seed + 1), is_typed=server is Era.MODERN)
        self.tally = Tally()

    async def run(self, clients: int, rounds: int) -> None:
        """Let so many clients at a time live so many lives each."""
        raw = RawServer(self.server.serve)
        errors = Errors()
        logging.getLogger().addHandler(errors)
        try:
            async with (
                raw.open() as url,
                lane_worker(url, self._servers, failures=1000) as worker,
            ):
                async with asyncio.TaskGroup() as group:
                    for _ in range(clients):
                        group.create_task(self._lives(worker, rounds))
                await self._settles(worker)
        finally:
            logging.getLogger().removeHandler(errors)
        assert errors.texts == [], "\n".join(errors.texts)

    async def _settles(self, worker: Worker) -> None:
        """Nothing is left behind."""
        await eventually(lambda: worker.graph.connections.open == 0, "all clients to be gone")
        assert (worker.lane.busy(), len(worker.lane.fronts)) == (0, 0)
        (pool,) = worker.lane.pools or (None,)
        if pool is not None:
            await eventually(lambda: pool.opening == 0, "no connection to be opened")
            await eventually(lambda: len(pool.ending) == 0, "no stream to go on")
            assert pool.waiting == []
            assert pool.open == len(pool.idle)

    async def _lives(self, worker: Worker, rounds: int) -> None:
        session = worker.session()
        for _ in range(rounds):
            async with asyncio.timeout(_PATIENCE_S), worker.wire() as wire:
                try:
                    await self._live(wire, session)
                except (ConnectionError, asyncio.IncompleteReadError):
                    raise AssertionError("the connection of a client in order was broken") from None

    async def _live(self, wire: Wire, session: str) -> None:
        """Send a few requests at once, read their answers; go at any time, perhaps."""
        for _ in range(self._rng.randrange(1, 4)):
            requests = [self._request(session) for _ in range(self._rng.choice([1, 1, 1, 2, 5]))]
            data = b"".join(request for _, request in requests)
            goes = self._rng.random()
            if goes < 0.2:
                self.tally.dropped += len(requests)
                await self._dribble(wire, data[: self._rng.randrange(len(data) + 1)])
                return
            odd = self._rng.choice(_ODD_ENDS) if goes > 0.9 else b""
            async with asyncio.TaskGroup() as group:
                group.create_task(self._dribble(wire, data + odd))
                group.create_task(self._read(wire, [text for text, _ in requests], odd))
            if odd:
                return

    async def _read(self, wire: Wire, texts: list[str], odd: bytes) -> None:
        """Read the answers; what is refused behind requests may end those under way, too."""
        try:
            for text in texts:
                message = await message_of(wire)
                if odd and message["id"] is None:
                    assert "error" in message
                    break
                self._check(text, message)
        except (ConnectionError, asyncio.IncompleteReadError):
            if not odd:
                raise
        if odd:
            await wire.ended()

    def _request(self, session: str) -> tuple[str, bytes]:
        """Return the text by which a request is known, and its bytes."""
        text = f"n{next(self._numbers)}"
        kind = self._rng.randrange(12)
        if kind == 0:
            return "", _LIST
        padding = "y" * self._rng.choice([0, 0, 0, 1000, 90_000])
        if self._era is Era.LEGACY:
            data = legacy_call(session, text, f"{text} {padding}")
        else:
            data = call(text, f"{text} {padding}")
        if kind == 1:  # through the other door
            data = data.replace(b"\r\n", b"\r\nX-Odd: 1\r\n", 1)
        return text, data

    def _check(self, text: str, message: dict[str, Any]) -> None:
        """Hold an answer to what the server said."""
        if not text:
            assert "tools" in message["result"], message
            return
        assert message["id"] == text, f"{text} was answered by {str(message)[:300]}"
        expected = self.server.expected.get(text)
        if "result" in message:
            said = message["result"]["content"][0]["text"].split()[0]
            assert said == text, f"{text} got the answer to {said}"
            assert expected not in (None, WRONG), f"{text} got a result that nobody sent"
            self.tally.answered += 1
            return
        reason = message["error"]["message"]
        assert expected != RIGHT, f"{text} was answered well, and got {reason}"
        self.tally.refused += 1
        self.tally.reasons[reason] += 1

    async def _dribble(self, wire: Wire, data: bytes) -> None:
        try:
            for piece in pieces_of(self._rng, data):
                await wire.send(piece)
                for _ in range(self._rng.randrange(3)):
                    await asyncio.sleep(0)
        except ConnectionError:
            pass  # the answer says why


async def message_of(wire: Wire) -> dict[str, Any]:
    """Read one response, whole or a stream; return its last message."""
    head = await wire.reader.readuntil(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    if b"transfer-encoding: chunked" not in lines:
        (size,) = (int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        body = await wire.reader.readexactly(size)
        return dict(json.loads(body))
    events, last = EventReader(1 << 24), b""
    while size := int(await wire.reader.readuntil(b"\r\n"), 16):
        for event in events.feed((await wire.reader.readexactly(size + 2))[:-2]):
            last = event.data or last
    await wire.reader.readexactly(2)
    return dict(json.loads(last))
