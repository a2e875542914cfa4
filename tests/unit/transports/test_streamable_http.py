"""One POST and all that a server may answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
)
from only1mcp.protocol.event_stream import encode
from only1mcp.transports import streamable_http
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp, make_client
from tests.support.black_hole import black_hole
from tests.support.http_site import http_site, raw_site
from tests.support.loop import eventually, on_loop
from tests.support.ports import free_port
from tests.support.raw_server import CHUNKED, EVENTS, Peer, RawServer, chunk, event

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}'
RESULT = b'{ "jsonrpc":"2.0","id":1,"result":{"n":1.0} }'
NOTE = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'
ASK = b'{"jsonrpc":"2.0","id":"s","method":"ping"}'
LONG_S = 30.0


@asynccontextmanager
async def wire(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamableHttp]:
    """Reach a server for the time of a block."""
    client = make_client()
    try:
        yield StreamableHttp(client, "srv", url, headers or {})
    finally:
        await client.close()


async def post(url: str, timeout_s: float = LONG_S) -> HttpAnswer:
    """Post one call."""
    async with wire(url) as subject:
        return await subject.post(CALL, {}, timeout_s)


async def answered(response: web.StreamResponse) -> HttpAnswer:
    """Post one call to a server with this answer."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return response

    async with http_site(handle) as url:
        return await post(url)


def as_json(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def as_events(body: bytes, status: int = 200) -> web.Response:
    """Answer with a whole event stream."""
    return web.Response(body=body, status=status, content_type="text/event-stream")


@on_loop
async def test_the_message_is_sent_as_it_is_with_the_headers_of_the_protocol() -> None:
    """Configured headers too; those of the call win, and nothing of ours is added."""
    seen: list[tuple[dict[str, str], bytes]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return as_json(RESULT)

    async with http_site(handle) as url, wire(url, {"X-Key": "k", "Mcp-Name": "old"}) as subject:
        await subject.post(CALL, {"Mcp-Name": "new"}, LONG_S)
    headers, body = seen[0]
    assert body == CALL
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json, text/event-stream"
    assert (headers["x-key"], headers["mcp-name"]) == ("k", "new")
    assert headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "origin"} & set(headers)


@on_loop
async def test_a_json_answer_is_one_message() -> None:
    """Its bytes are kept; the session id comes along."""
    answer = await answered(as_json(RESULT, headers={"Mcp-Session-Id": "s1"}))
    assert (answer.status, answer.session_id) == (200, "s1")
    assert answer.message is not None
    assert answer.message.body == RESULT


@on_loop
async def test_a_chunked_answer_is_one_message() -> None:
    """However it is cut on its way."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(len(RESULT)):
            await response.write(RESULT[at : at + 1])
        return response

    async with http_site(handle) as url:
        answer = await post(url)
    assert answer.message is not None
    assert answer.message.body == RESULT


@pytest.mark.parametrize(
    "events",
    [
        encode(RESULT), encode(b"") + encode(RESULT), encode(NOTE) + encode(RESULT),
        encode(ASK) + encode(RESULT), b": ping\n\n" + encode(RESULT, event_id="7"),
        encode(b"{}", event="other") + encode(RESULT), encode(RESULT) + encode(b"garbage"),
        encode(RESULT).replace(b"\n", b"\r\n"), b"data: " + RESULT + b"\r\r",
        b"event: ping\n\n" + encode(RESULT),
    ],
)  # fmt: skip
@on_loop
async def test_an_event_stream_is_read_up_to_the_response(events: bytes) -> None:
    """Notifications, requests, comments and empty events before it are passed over."""
    answer = await answered(as_events(events))
    assert answer.message is not None
    assert answer.message.body == RESULT


@on_loop
async def test_a_stream_that_stays_open_does_not_hold_up_its_response() -> None:
    """We hang up; the server notices."""
    gone = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(encode(RESULT))
        try:
            await asyncio.sleep(LONG_S)
        finally:
            gone.set()
        return response

    async with http_site(handle) as url:
        answer = await post(url)
        assert answer.message is not None
        await eventually(gone.is_set, "the server to notice")


@on_loop
async def test_an_accepted_notification_has_no_message() -> None:
    """202, whatever stands in its body."""
    for body in (b"", b"Accepted", RESULT):
        answer = await answered(as_json(body, 202))
        assert (answer.status, answer.message) == (202, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 503])
@on_loop
async def test_an_http_error_may_carry_a_message_or_not(status: int) -> None:
    """The caller decides what it means."""
    error = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}'
    answer = await answered(as_json(error, status))
    assert (answer.status, answer.message is not None) == (status, True)
    for body in (b"", b"Not Found", b"<html></html>", b'{"detail":"no"}'):
        answer = await answered(as_json(body, status))
        assert (answer.status, answer.message) == (status, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@on_loop
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither the message nor the credentials go where a server points."""
    visited: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        visited.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with http_site(handle) as url:
        answer = await post(url)
    assert (answer.status, answer.message) == (status, None)
    assert visited == ["/mcp"]


@pytest.mark.parametrize(
    "response",
    [
        as_json(b"garbage"), as_json(b"{"), as_json(b"{}"), as_json(b"\xff"), as_json(b"1"),
        web.Response(text="<html>hello</html>", content_type="text/html"),
        as_events(encode(b"garbage")), as_events(encode(b"{}")),
    ],
    ids=lambda response: repr(response.body)[:30],
)  # fmt: skip
@on_loop
async def test_garbage_is_said_to_be_garbage(response: web.Response) -> None:
    """The server and its words are named for the operator."""
    with pytest.raises(BackendProtocolError, match="server srv answered with something") as caught:
        await answered(response)
    assert caught.value.detail


@pytest.mark.parametrize("body", [CALL, NOTE, b"[" + RESULT + b"]", b"[]"])
@on_loop
async def test_a_json_body_that_is_no_response_is_no_answer(body: bytes) -> None:
    """A request, a notification or a batch has nothing to give the client; an error may be bare."""
    with pytest.raises(BackendProtocolError, match="server srv answered with something") as caught:
        await answered(as_json(body))
    assert caught.value.detail
    assert (await answered(as_json(body, 404))).message is None


@pytest.mark.parametrize(
    "response",
    [as_events(b""), as_events(encode(NOTE)), as_events(b"data: " + RESULT + b"\n"),
     as_events(encode(b"")), as_events(b": nothing\n\n")],
)  # fmt: skip
@on_loop
async def test_a_stream_that_ends_without_a_response_is_a_loss(response: web.Response) -> None:
    """The call may have run."""
    with pytest.raises(BackendLost, match="ended the stream without a response"):
        await answered(response)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"HTTP/1.1 200", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n7\r\ndata: {\r\n",
        b"not HTTP at all\r\n\r\n", b"\xff" * 100, HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[-20:]),
)  # fmt: skip
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@on_loop
async def test_a_connection_that_ends_too_soon_is_a_loss(answer: bytes, reset: bool) -> None:
    """Before, within or instead of the answer; what is no HTTP is a loss too."""
    async with raw_site(answer, reset=reset) as url:
        with pytest.raises(BackendError, match="server srv") as caught:
            await post(url)
    assert type(caught.value) in (BackendLost, BackendProtocolError)
    assert caught.value.detail


@on_loop
async def test_a_body_that_breaks_the_rules_of_http_is_a_loss_at_once() -> None:
    """Although it began well, and nobody is left who could end it."""
    heard = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(EVENTS + CHUNKED + chunk(event(NOTE)))
        await heard.wait()
        await peer.send(b"1\r\nxx\r\n")
        await peer.ended()

    async with RawServer(serve).open() as url, wire(url) as subject:
        with pytest.raises(BackendLost):
            await subject.post(CALL, {}, LONG_S, lambda _: heard.set())


@on_loop
async def test_nobody_there_is_unreachable() -> None:
    """Nothing was sent; the address stands in the detail only."""
    with pytest.raises(BackendUnreachable, match="server srv cannot be reached") as caught:
        await post(f"http://127.0.0.1:{free_port()}/mcp")
    assert "127.0.0.1" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value.detail)


@pytest.mark.parametrize("timeout_s", [LONG_S, 0.2])
@on_loop
async def test_an_address_that_swallows_connections_is_unreachable(
    timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the time of the request is over, or a little, if that is short itself."""
    monkeypatch.setattr(streamable_http, "CONNECT_S", 0.2)
    with black_hole() as url, pytest.raises(BackendUnreachable, match="cannot be reached"):
        await post(url, timeout_s)


@pytest.mark.parametrize("url", ["http://name.invalid/mcp", "http://[::1/mcp", "http://x:99999/"])
@on_loop
async def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    """Whether it is malformed or unknown."""
    with pytest.raises(BackendUnreachable):
        await post(url)


@pytest.mark.parametrize("begun", [False, True], ids=["silent", "headers only"])
@on_loop
async def test_no_answer_in_time_is_a_timeout(begun: bool) -> None:
    """Also when the headers came; the server sees us leave."""
    gone = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if begun:
            await response.prepare(request)
        try:
            await asyncio.sleep(LONG_S)
        finally:
            gone.set()
        return response

    async with http_site(handle) as url:
        with pytest.raises(BackendTimeout, match=r"did not answer within 0\.3 s"):
            await post(url, 0.3)
        await eventually(gone.is_set, "the server to notice")


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@on_loop
async def test_an_answer_without_end_is_cut_off(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a bound, not at the end of memory."""
    monkeypatch.setattr(streamable_http, "MAX_MESSAGE_BYTES", 300_000)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(b"data: ")
        while True:
            await response.write(b'"' + b"x" * 10_000)

    async with http_site(handle) as url:
        with pytest.raises(BackendProtocolError, match="300000 bytes"):
            await post(url)


@on_loop
async def test_a_large_answer_within_the_bound_arrives_whole() -> None:
    """Ten megabytes, as JSON and as an event."""
    big = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"x": "y" * 10_000_000}}).encode()
    for response in (as_json(big), as_events(encode(big))):
        answer = await answered(response)
        assert answer.message is not None
        assert answer.message.body == big


@on_loop
async def test_connections_are_used_again_and_cookies_are_not_kept() -> None:
    """A server cannot mark us."""
    peers, cookies = set(), []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        cookies.append(request.headers.get("Cookie"))
        return as_json(RESULT, headers={"Set-Cookie": "a=b"})

    async with http_site(handle) as url, wire(url) as subject:
        for _ in range(5):
            await subject.post(CALL, {}, LONG_S)
    assert len(peers) == 1
    assert cookies == [None] * 5


@on_loop
async def test_a_session_is_ended_by_delete_whatever_the_server_says() -> None:
    """One that does not know the method is fine; one that is gone is a failure."""
    methods: list[tuple[str, str | None]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        methods.append((request.method, request.headers.get("Mcp-Session-Id")))
        return web.Response(status=405)

    async with http_site(handle) as url, wire(url) as subject:
        await subject.delete({"Mcp-Session-Id": "s"}, LONG_S)
    assert methods == [("DELETE", "s")]
    async with raw_site(b"", reset=True) as url, wire(url) as subject:
        with pytest.raises(BackendLost):
            await subject.delete({}, LONG_S)
    async with wire(f"http://127.0.0.1:{free_port()}/mcp") as subject:
        with pytest.raises(BackendUnreachable):
            await subject.delete({}, LONG_S)
