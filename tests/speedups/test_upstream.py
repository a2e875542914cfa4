"""What servers answer to calls of the fast lane: the same comes of it as on the common way."""

import asyncio
import json
from collections.abc import Callable

import pytest

from only1mcp import _speedups
from tests.support.lane import Worker, call, lane_worker
from tests.support.loop import on_loop
from tests.support.raw_server import CHUNKED, EVENTS, Peer, RawServer, chunk, event, result, whole

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")

Pieces = list[bytes]
Answer = Callable[[int], Pieces]
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
KEPT, ENDED = True, False


def serving(answer: Answer, *, ends: bool) -> Callable[[Peer], object]:
    """Answer the first request in these pieces, all others in the plainest way."""
    requests = 0

    async def serve(peer: Peer) -> None:
        nonlocal requests
        while True:
            came = await peer.request()
            requests += 1
            if requests > 1:
                await peer.send(whole(result(came.id, "next")))
                continue
            for piece in answer(came.id):
                await peer.send(piece)
                await asyncio.sleep(0)
            if ends:
                return

    return serve


async def told(answer: Answer, *, ends: bool, fast: bool) -> tuple[int, object, str, int]:
    """Make the server answer a call so, and the next one plainly.

    Returns status and body of the first, the text of the next, and how many connections it took.
    """
    server = RawServer(serving(answer, ends=ends))  # type: ignore[arg-type]
    async with server.open() as url, lane_worker(url, fast=fast) as worker, worker.wire() as wire:
        await wire.send(call(1))
        first = await wire.reply()
        await wire.send(call(2))
        after = json.loads((await wire.reply()).body)
        if fast:
            assert len(worker.lane.fronts) == 1
            check_pool(worker)
        return (
            first.status, json.loads(first.body), after["result"]["content"][0]["text"],
            len(server.peers),
        )  # fmt: skip


def check_pool(worker: Worker) -> None:
    """Nothing is left behind in the lane."""
    (pool,) = worker.lane.pools
    assert worker.lane.busy() == 0
    assert (pool.opening, pool.waiting) == (0, [])
    assert pool.open >= len(pool.idle)


def ok(request_id: object) -> bytes:
    """Write the usual answer."""
    return result(request_id, "fine")


def cut(data: bytes, size: int) -> Pieces:
    """Cut bytes into pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> Pieces:
    """Write a body in chunks."""
    return [JSON + CHUNKED, *map(chunk, pieces), end]


GOOD: dict[str, tuple[Answer, bool, bool]] = {
    "length": (lambda i: [whole(ok(i))], False, KEPT),
    "length in pieces": (lambda i: cut(whole(ok(i)), 7), False, KEPT),
    "no length": (lambda i: [JSON + b"\r\n", ok(i)], True, ENDED),
    "connection close": (lambda i: [whole(ok(i), b"Connection: close")], True, ENDED),
    "connection close twice": (
        lambda i: [whole(ok(i), b"Connection: close", b"Connection: keep-alive")], True, ENDED),
    "HTTP/1.0": (lambda i: [whole(ok(i)).replace(b"1.1", b"1.0")], True, ENDED),
    "HTTP/1.0 without length": (
        lambda i: [JSON.replace(b"1.1", b"1.0"), b"\r\n", ok(i)], True, ENDED),
    "continue": (lambda i: [b"HTTP/1.1 100 Continue\r\n\r\n", whole(ok(i))], False, KEPT),
    "hints at once": (
        lambda i: [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + whole(ok(i))], False, KEPT),
    "no reason": (lambda i: [whole(ok(i), status=b"200")], False, KEPT),
    "identity": (lambda i: [whole(ok(i), b"Content-Encoding: identity")], False, KEPT),
    "one chunk": (lambda i: chunked(ok(i)), False, KEPT),
    "chunks": (lambda i: chunked(*cut(ok(i), 9)), False, KEPT),
    "chunks at once": (lambda i: [b"".join(chunked(ok(i)[:5], ok(i)[5:]))], False, KEPT),
    "chunk extensions": (
        lambda i: [JSON + CHUNKED, b"%x;a=b;c=\"d\"\r\n%b\r\n" % (len(ok(i)), ok(i)),
                   b"0;last\r\n\r\n"], False, KEPT),
    "trailers": (lambda i: chunked(ok(i), end=b"0\r\nX: y\r\nZ: 1\r\n\r\n"), False, KEPT),
    "leading zeros": (
        lambda i: [JSON + CHUNKED, b"0000000%x\r\n%b\r\n000\r\n\r\n" % (len(ok(i)), ok(i))],
        False, KEPT),
    "answered twice": (lambda i: [whole(ok(i)) + whole(result(i, "again"))], False, ENDED),
    "answered twice in chunks": (
        lambda i: [b"".join(chunked(ok(i))) + b"".join(chunked(ok(i)))], False, ENDED),
    "event": (lambda i: [EVENTS + CHUNKED, chunk(event(ok(i))), b"0\r\n\r\n"], False, KEPT),
    "event at once": (
        lambda i: [EVENTS + CHUNKED + chunk(event(ok(i))) + b"0\r\n\r\n"], False, KEPT),
    "event with LF": (
        lambda i: [EVENTS + CHUNKED, chunk(b"data: %b\n\n" % ok(i)), b"0\r\n\r\n"], False, KEPT),
    "event with CR": (
        lambda i: [EVENTS + CHUNKED, chunk(b"data:%b\r\r" % ok(i)), b"0\r\n\r\n"], False, KEPT),
    "event after comments": (
        lambda i: [EVENTS + CHUNKED, chunk(b": hi\n\n"), chunk(b"id: 7\ndata:\n\n"),
                   chunk(b"event: ping\ndata: {}\n\n"), chunk(event(ok(i))), b"0\r\n\r\n"],
        False, KEPT),
    "event of several lines": (
        lambda i: [EVENTS + CHUNKED,
                   chunk(b"\xef\xbb\xbf" + event(ok(i).replace(b", ", b",\r\ndata: "))),
                   b"0\r\n\r\n"], False, KEPT),
    "event after a notification": (
        lambda i: [EVENTS + CHUNKED, chunk(
            event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{}}')
            + event(ok(i))), b"0\r\n\r\n"], False, KEPT),
    "event in bytes": (
        lambda i: [EVENTS + CHUNKED, *(chunk(bytes([c])) for c in event(ok(i))), b"0\r\n\r\n"],
        False, KEPT),
    "event with length": (
        lambda i: [EVENTS + b"Content-Length: %d\r\n\r\n" % len(event(ok(i))), event(ok(i))],
        False, KEPT),
    "event and more than its length": (
        lambda i: [EVENTS + b"Content-Length: %d\r\n\r\n%b" % (len(event(ok(i))), event(ok(i))),
                   b"x"], False, ENDED),
    "event up to the end": (lambda i: [EVENTS + b"\r\n", event(ok(i))], True, ENDED),
    "event and then the end": (lambda i: [EVENTS + CHUNKED, chunk(event(ok(i)))], True, ENDED),
    "a stream that goes on": (
        lambda i: [EVENTS + CHUNKED, chunk(event(ok(i))), chunk(b": more\n\n"), b"0\r\n\r\n"],
        False, KEPT),
    "a stream that goes on at once": (
        lambda i: [EVENTS + CHUNKED, chunk(event(ok(i))) + chunk(b": more\n\n") + b"0\r\n\r\n"],
        False, KEPT),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
@on_loop
async def test_an_answer_arrives_in_every_shape(name: str) -> None:
    """And the connection serves the next call exactly if it can be trusted to."""
    answer, ends, kept = GOOD[name]
    status, body, after, connections = await told(answer, ends=ends, fast=True)
    assert isinstance(body, dict)
    assert (status, body["id"], body["result"]["content"][0]["text"]) == (200, 1, "fine")
    assert (after, connections) == ("next", 1 if kept else 2)
    assert (await told(answer, ends=ends, fast=False))[:3] == (status, body, after)


@on_loop
async def test_a_connection_on_which_more_comes_than_was_asked_is_broken() -> None:
    """What comes later might be taken for the answer to the next call."""
    server = RawServer()
    async with server.open() as url, lane_worker(url) as worker, worker.wire() as wire:
        await wire.send(call(1))
        peer = await server.accept()
        await peer.send(whole(ok((await peer.request()).id)))
        assert (await wire.reply()).status == 200
        await peer.send(whole(result(2, "again")))
        assert await peer.ended() == b""
        await wire.send(call(2))
        peer = await server.accept()
        await peer.send(whole(ok((await peer.request()).id)))
        assert b"fine" in (await wire.reply()).body


def error(request_id: object, code: int = -32602) -> bytes:
    """Write an error of JSON-RPC."""
    refusal = {"code": code, "message": "no", "data": [1]}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": refusal}).encode()


BAD: dict[str, tuple[Answer, bool]] = {
    **{f"status {status.decode()}": (lambda i, s=status: [whole(b"", status=s)], False)  # type: ignore[misc]
       for status in (b"202 x", b"301 x", b"401 x", b"403 x", b"404 x", b"418 x", b"429 x",
                      b"500 x", b"502 x", b"503 x", b"504 x")},
    **{f"refused {status.decode()}": (lambda i, s=status: [whole(error(None), status=s)], False)  # type: ignore[misc]
       for status in (b"200 x", b"400 x", b"401 x", b"404 x", b"500 x", b"503 x")},
    **{f"error {status.decode()}": (lambda i, s=status: [whole(error(i), status=s)], False)  # type: ignore[misc]
       for status in (b"200 x", b"201 x", b"202 x", b"400 x", b"404 x", b"500 x")},
    "204": (lambda i: [b"HTTP/1.1 204 No Content\r\n\r\n"], False),
    "304": (lambda i: [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], False),
    "a page": (
        lambda i: [whole(b"<>", status=b"404 x").replace(b"application/json", b"a/b")], False),
    "JSON as text": (
        lambda i: [whole(ok(i)).replace(b"application/json", b"text/plain")], False),
    "JSON of another as text": (
        lambda i: [whole(ok(i + 1)).replace(b"application/json", b"text/plain")], False),
    "another id, created": (lambda i: [whole(ok(i + 1), status=b"201 Created")], False),
    "garbage": (lambda i: [whole(b"}{")], False),
    "nothing": (lambda i: [whole(b"")], False),
    "a batch": (lambda i: [whole(b"[" + ok(i) + b"]")], False),
    "another request": (lambda i: [whole(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')], False),
    "closed at once": (lambda i: [], True),
    "closed in the head": (lambda i: [whole(ok(i))[:40]], True),
    "closed in the body": (lambda i: [whole(ok(i))[:-5]], True),
    "closed in a chunk": (lambda i: [*chunked(ok(i))[:1], b"ff\r\n{"], True),
    "closed before the last chunk": (lambda i: chunked(ok(i))[:-1], True),
    "closed in a stream": (lambda i: [EVENTS + CHUNKED, chunk(b": hi\n\n")], True),
    "a stream without an answer": (lambda i: [EVENTS + CHUNKED, chunk(b": hi\n\n"), b"0\r\n\r\n"],
                                   False),
    "a stream with a length and no answer": (
        lambda i: [EVENTS + b"Content-Length: 6\r\n\r\n: hi\n\n"], False),
    "an empty stream": (lambda i: [EVENTS + b"Content-Length: 0\r\n\r\n"], False),
    "garbage in a stream": (lambda i: [EVENTS + CHUNKED, chunk(event(b"}{")), b"0\r\n\r\n"], False),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@on_loop
async def test_whatever_else_comes_is_told_as_on_the_common_way(name: str) -> None:
    """Status, code and words; the next call is not harmed."""
    answer, ends = BAD[name]
    first = await told(answer, ends=ends, fast=True)
    assert isinstance(first[1], dict)
    assert first[1]["id"] == 1
    assert first[2] == "next"
    assert (await told(answer, ends=ends, fast=False))[:3] == first[:3]


WRONG: dict[str, Answer] = {
    "not HTTP": lambda i: [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "HTTP/2": lambda i: [whole(ok(i)).replace(b"1.1", b"2.0")],
    "switching": lambda i: [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    "four digits": lambda i: [whole(ok(i), status=b"2000 OK")],
    "length and chunks": lambda i: [whole(ok(i), b"Transfer-Encoding: chunked")],
    "two lengths": lambda i: [whole(ok(i), b"Content-Length: 9")],
    "negative length": lambda i: [JSON + b"Content-Length: -1\r\n\r\n"],
    "bare LF": lambda i: [whole(ok(i)).replace(b"\r\n", b"\n")],
    "a folded header": lambda i: [whole(ok(i), b"X: a\r\n b")],
    "compressed": lambda i: [whole(ok(i), b"Content-Encoding: gzip")],
    "no chunk size": lambda i: [JSON + CHUNKED + b"\r\n\r\n"],
    "chunk size of letters": lambda i: [JSON + CHUNKED + b"xyz\r\n"],
    "negative chunk size": lambda i: [JSON + CHUNKED + b"-1\r\n"],
    "huge chunk size": lambda i: [JSON + CHUNKED + b"fffffffffffffffff\r\n"],
    "a chunk that is too long": lambda i: [JSON + CHUNKED + b"1\r\nxx\r\n"],
    "a size that ends with LF": lambda i: [JSON + CHUNKED + b"1\nx\n"],
    "a head without end": lambda i: [JSON + b"X: y\r\n" * 12000],
}


@pytest.mark.parametrize("name", WRONG)
@on_loop
async def test_what_is_not_certainly_http_is_no_answer(name: str) -> None:
    """The call fails, the connection is not used again, and the next call finds another."""
    status, body, after, connections = await told(WRONG[name], ends=False, fast=True)
    assert isinstance(body, dict)
    assert (status, body["id"]) == (200, 1)
    assert body["error"]["message"] == "server s does not speak HTTP as it must"
    assert (after, connections) == ("next", 2)
