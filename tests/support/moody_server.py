"""A server of either era that answers each call in another way, well or badly, as a seed has it."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.raw_server import CHUNKED, EVENTS, Came, Peer, chunk, event, result, whole

RIGHT, EITHER, WRONG, AGAIN = "right", "either", "wrong", "again"
"""What a client may read: the result, one of the two, an error; or its call may be sent again."""
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
_NOTE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
_GREETING = {
    "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
    "serverInfo": {"name": "moody", "version": "1"},
}  # fmt: skip


@dataclass(slots=True)
class Mood:
    """One way of answering."""

    data: bytes
    expected: str = RIGHT
    ends: bool = False
    """Whether the server closes the connection after it."""
    resets: bool = False
    spoils: bool = False
    """Whether more comes than was asked for: the next call may have to suffer for it."""


Make = Callable[[random.Random, bytes], Mood]


def _chunks(rng: random.Random, body: bytes) -> bytes:
    """Write a body in chunks of any sizes, with extensions and trailers."""
    parts, at = [], 0
    while at < len(body):
        size = rng.choice([1, 7, 100, 5000, len(body)])
        piece = body[at : at + size]
        extension = rng.choice([b"", b"", b";a=b", b';c="d e"'])
        parts.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
        at += size
    end = rng.choice([b"0\r\n\r\n", b"000;last\r\n\r\n", b"0\r\nX: y\r\nZ: 1\r\n\r\n"])
    return b"".join(parts) + end


def _event(rng: random.Random, body: bytes) -> bytes:
    """Write the events of one stream, the answer last."""
    before = rng.choice([b"", b"", b": hi\n\n", event(_NOTE), b"id: 1\nretry: 1\ndata: \n\n"])
    shape = rng.choice([b"event: message\r\ndata: %b\r\n\r\n", b"data: %b\n\n", b"data:%b\r\r"])
    return before + shape % body


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


GOOD: list[Make] = [
    lambda rng, body: Mood(whole(body)),
    lambda rng, body: Mood(whole(body, b"X-Other: " + b"y" * rng.randrange(20_000))),
    lambda rng, body: Mood(JSON + CHUNKED + _chunks(rng, body)),
    lambda rng, body: Mood(EVENTS + CHUNKED + _chunks(rng, _event(rng, body))),
    lambda rng, body: Mood(EVENTS + _length(_event(rng, body))),
    lambda rng, body: Mood(EVENTS + b"\r\n" + _event(rng, body), ends=True),
    lambda rng, body: Mood(JSON + b"\r\n" + body, ends=True),
    lambda rng, body: Mood(_HINT * rng.randrange(3) + whole(body)),
    lambda rng, body: Mood(whole(body).replace(b"1.1", b"1.0", 1), ends=True),
    lambda rng, body: Mood(whole(body, b"Connection: close"), ends=rng.random() < 0.5),
    lambda rng, body: Mood(whole(body), ends=True),
]
BAD: list[Make] = [
    lambda rng, body: Mood(b"", WRONG, ends=True),
    lambda rng, body: Mood(b"", WRONG, resets=True),
    lambda rng, body: Mood(whole(body)[: rng.randrange(60)], WRONG, ends=True),
    lambda rng, body: Mood(whole(body)[: -rng.randrange(1, 9)], WRONG, resets=True),
    lambda rng, body: Mood(JSON + CHUNKED + _chunks(rng, body)[:-1], EITHER, ends=True),
    lambda rng, body: Mood(JSON + CHUNKED + b"1\r\nxx\r\n", WRONG, ends=True),
    lambda rng, body: Mood(JSON + CHUNKED + b"fffffffff\r\n" + body, WRONG, ends=True),
    lambda rng, body: Mood(EVENTS + CHUNKED + chunk(b": hi\n\n"), WRONG, ends=True),
    lambda rng, body: Mood(EVENTS + CHUNKED + chunk(event(b"}{")), WRONG),
    lambda rng, body: Mood(whole(body, status=b"500 Oops"), EITHER),
    lambda rng, body: Mood(whole(b"", status=b"404 Not Found"), AGAIN),
    lambda rng, body: Mood(b"HTTP/1.1 204 No Content\r\n\r\n", WRONG),
    lambda rng, body: Mood(whole(result(10**9, "foreign")), WRONG),
    lambda rng, body: Mood(whole(body[:-1]), WRONG),
    lambda rng, body: Mood(rng.randbytes(rng.randrange(1, 2000)), WRONG, ends=True),
    lambda rng, body: Mood(JSON + b"X: y\r\n" * 12_000, WRONG, ends=True),
    lambda rng, body: Mood(whole(body, b"Transfer-Encoding: chunked"), WRONG, ends=True),
    lambda rng, body: Mood(whole(body, b"Content-Encoding: gzip"), EITHER),
    lambda rng, body: Mood(whole(body) + whole(body), spoils=True),
    lambda rng, body: Mood(whole(body) + b"\r\n", spoils=True),
    lambda rng, body: Mood(EVENTS + CHUNKED + chunk(event(body)), ends=rng.random() < 0.5),
]


@dataclass(slots=True)
class MoodyServer:
    """Serves connections of `RawServer`.

    Args:
        rng: decides.
        badly: how often it answers badly, from 0 to 1.
    """

    rng: random.Random
    badly: float = 0.4
    is_typed: bool = True
    """Whether results say that they are complete."""
    expected: dict[str, str] = field(default_factory=dict)
    """By text of a call, what its client may read; a call that never came has none."""
    calls: int = 0

    async def serve(self, peer: Peer) -> None:
        """Answer what comes on a connection, one after the other."""
        is_spoiled = False
        while True:
            try:
                came = await peer.request()
            except TimeoutError:  # nobody needs this connection any more
                return
            if not came.body or came.message["method"] != "tools/call":
                await greet(peer, came)
                continue
            mood, text = self._mood(came)
            self.calls += 1
            assert text not in self.expected, f"{text} was sent twice"
            if mood.expected != AGAIN:
                self.expected[text] = EITHER if is_spoiled else mood.expected
            is_spoiled = is_spoiled or mood.spoils
            await self._dribble(peer, mood.data)
            if mood.resets:
                peer.reset()
            if mood.ends or mood.resets:
                return

    def _mood(self, came: Came) -> tuple[Mood, str]:
        text: str = came.message["params"]["arguments"]["text"]
        word = text.partition(" ")[0]
        size = self.rng.choice([0, 0, 0, 300, 70_000])
        makes = BAD if self.rng.random() < self.badly else GOOD
        body = result(came.id, f"{word} " + "x" * size)
        if not self.is_typed:
            body = body.replace(b'"resultType": "complete", ', b"", 1)
        return self.rng.choice(makes)(self.rng, body), word

    async def _dribble(self, peer: Peer, data: bytes) -> None:
        """Send bytes in pieces, and let others come in between."""
        for piece in pieces_of(self.rng, data):
            if peer.writer.is_closing():
                raise ConnectionResetError
            await peer.send(piece)
            for _ in range(self.rng.randrange(3)):
                await asyncio.sleep(0)


async def greet(peer: Peer, came: Came) -> None:
    """Answer what is no call."""
    if came.body and came.message["method"] == "initialize":
        body = {"jsonrpc": "2.0", "id": came.id, "result": _GREETING}
        await peer.send(whole(json.dumps(body).encode(), b"Mcp-Session-Id: one"))
    elif came.line.startswith("GET"):
        await peer.send(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
    else:
        await peer.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def pieces_of(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut bytes at up to five random places."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
