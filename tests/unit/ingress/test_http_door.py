"""The door: which requests reach the service, and what all others are told."""

import json

import pytest

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Answer, Exchange, Request
from tests.support.door import ACCEPT, JSON, STREAM, Door, FakeService, send
from tests.support.loop import eventually, on_loop


@on_loop
async def test_a_message_reaches_the_service_with_the_headers_that_matter() -> None:
    """And its answer goes back as JSON, with the session id when there is one."""
    door = Door()
    door.service.answer = Answer(200, b'{"x":1.0}', session_id="s1")
    async with door.open() as wire:
        reply = await send(
            wire, "POST", "/mcp?ignored=1", ACCEPT, JSON, b"MCP-protocol-VERSION: 2026-07-28",
            b"mcp-method:  tools/call ", b"Mcp-Name: a__b", b"MCP-SESSION-ID: s0", body=b"{ }",
        )  # fmt: skip
    (request,) = door.service.requests
    assert (request.body, request.client) == (b"{ }", "127.0.0.1")
    headers = request.headers
    assert (headers.version, headers.method, headers.name, headers.session, headers.repeated) == (
        "2026-07-28", "tools/call", "a__b", "s0", (),
    )  # fmt: skip
    assert (reply.status, reply.body) == (200, b'{"x":1.0}')
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["mcp-session-id"] == "s1"


@on_loop
async def test_headers_that_stand_twice_are_reported() -> None:
    """The pipeline decides what that means in which era."""
    door = Door()
    async with door.open() as wire:
        await send(wire, "POST", "/mcp", ACCEPT, JSON, b"Mcp-Name: a", b"mcp-name: b",
                   b"Mcp-Method: x", b"Mcp-Method: x", body=b"{}")  # fmt: skip
    headers = door.service.requests[0].headers
    assert headers.repeated == ("mcp-method", "mcp-name")
    assert (headers.method, headers.name) == ("x", "a")


@on_loop
async def test_an_answer_without_a_body_has_no_content_type() -> None:
    """A notification is accepted with 202 and nothing more."""
    door = Door()
    door.service.answer = Answer(202, b"")
    async with door.open() as wire:
        reply = await send(wire, "POST", "/mcp", ACCEPT, JSON, body=b"{}")
    assert (reply.status, reply.body) == (202, b"")
    assert reply.headers["content-length"] == "0"
    assert "mcp-session-id" not in reply.headers


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 1_048_577, 3_000_000])
@on_loop
async def test_a_body_of_any_allowed_size_arrives_whole(size: int) -> None:
    """The guard bounds it; the HTTP library's own limits play no part."""
    door = Door()
    async with door.open() as wire:
        reply = await send(wire, "POST", "/mcp", ACCEPT, JSON, body=b"x" * size)
    assert reply.status == 200
    assert len(door.service.requests[0].body) == size


@on_loop
async def test_a_chunked_body_arrives_whole() -> None:
    """As one message."""
    door = Door()
    async with door.open() as wire:
        await wire.send(
            b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
            + ACCEPT
            + b"\r\n"
            + JSON
            + b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
        )
        assert (await wire.reply()).status == 200
    assert door.service.requests[0].body == b"{}"  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        JSON, b"Content-Type: application/json; charset=utf-8",
        b"Content-Type: application/json;charset=UTF-8", b"Content-Type: Application/JSON",
        b'content-type: application/json; charset="utf-8"',
    ],
)  # fmt: skip
@on_loop
async def test_json_in_utf_8_is_taken_however_it_is_declared(line: bytes) -> None:
    """Case and parameters as HTTP allows."""
    door = Door()
    async with door.open() as wire:
        assert (await send(wire, "POST", "/mcp", ACCEPT, line, body=b"{}")).status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"X: y", b"Content-Type: text/plain", b"Content-Type: application/json; charset=latin-1",
        b"Content-Type: application/jsonx", b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Type: multipart/form-data; boundary=x", b"Content-Type: ",
        b"Content-Type: nonsense", b"Content-Type: application/json; charset=\xff",
    ],
)  # fmt: skip
@on_loop
async def test_another_media_type_is_415(line: bytes) -> None:
    """So that a web form cannot send a message without the browser asking first."""
    door = Door()
    async with door.open() as wire:
        reply = await send(wire, "POST", "/mcp", ACCEPT, line, body=b"{}")
    assert reply.status == 415
    assert json.loads(reply.body)["error"]["code"] == -32600
    assert door.service.requests == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/mcp", "POST, GET, DELETE"), ("HEAD", "/mcp", "POST, GET, DELETE"),
        ("OPTIONS", "/mcp", "POST, GET, DELETE"),
        ("POST", "/health", "GET"), ("DELETE", "/metrics", "GET"), ("POST", "/livez", "GET"),
        ("POST", "/api/v1/admin/servers", "GET"), ("DELETE", "/api/v1/admin/x", "GET"),
    ],
)  # fmt: skip
@on_loop
async def test_another_method_is_405_and_told_which_are_allowed(
    method: str, path: str, allow: str
) -> None:
    """In a header, as HTTP asks."""
    door = Door()
    async with door.open() as wire:
        await wire.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert f"Allow: {allow}\r\n".encode() in head
    assert (door.service.requests, door.service.admin_paths) == ([], [])


@pytest.mark.parametrize(
    ("path", "code"), [("/mcp", -32600), ("/api/v1/admin/x", "METHOD_NOT_ALLOWED")]
)
@on_loop
async def test_a_refusal_has_the_form_that_is_expected_at_its_path(
    path: str, code: str | int
) -> None:
    """JSON-RPC for clients of MCP; the admin API has a form of its own."""
    door = Door()
    async with door.open() as wire:
        reply = await send(wire, "PUT", path)
    error = json.loads(reply.body)["error"]
    assert error["code"] == code
    assert ("hint: use " in error["message"]) == (path == "/mcp")
    assert ("hint" in error) == (path != "/mcp")


@on_loop
async def test_a_modern_client_is_told_that_there_is_no_stream() -> None:
    """2026-07-28 has none of sessions; 405 says so."""
    door = Door()
    async with door.open() as wire:
        reply = await send(wire, "GET", "/mcp", STREAM, b"MCP-Protocol-Version: 2026-07-28")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert door.service.streams == []


@on_loop
async def test_the_stream_of_a_legacy_session_reaches_the_service() -> None:
    """With the id of the last event that the client saw, and nothing but events comes back."""
    door = Door()
    async with door.open() as wire:
        await wire.send(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: alive\r\n"
                        b"Last-Event-ID: 1.0-abc-7\r\n" + STREAM + b"\r\n\r\n")  # fmt: skip
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Content-Type: text/event-stream\r\n" in head
        (exchange,) = door.service.exchanges
        exchange.send(b'{"n":1.0}', "1.0-abc-8")
        event = await wire.reader.readuntil(b"\n\n")
        assert event.endswith(b'event: message\nid: 1.0-abc-8\ndata: {"n":1.0}\n\n')
        wire.writer.transport.abort()
        await eventually(lambda: door.service.cancelled == 1, "the end to be noticed")
    (request,) = door.service.streams
    assert (request.headers.session, request.last_event_id) == ("alive", "1.0-abc-7")
    assert request.body == b""


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Accept: application/json", b"Mcp-Session-Id: alive"], 406),
        ([b"Accept: text/event-stream", b"Mcp-Session-Id: other"], 404),
    ],
)
@on_loop
async def test_a_stream_that_cannot_be_is_refused_as_json(lines: list[bytes], status: int) -> None:
    """It has not begun yet."""
    async with Door().open() as wire:
        reply = await send(wire, "GET", "/mcp", *lines)
    assert reply.status == status
    assert json.loads(reply.body)["error"]["code"] == -32600


@pytest.mark.parametrize(
    "path", ["/", "/mcp/", "/MCP", "/mcp/profile", "//mcp", "/health/x", "/api/v1/admin", "/%6dcp",
             "/.well-known/oauth-protected-resource", "/mcp;x", "/..%2fmcp"]
)  # fmt: skip
@on_loop
async def test_an_unknown_path_is_404_and_told_where_the_endpoint_is(path: str) -> None:
    """Exactly the known paths exist."""
    async with Door().open() as wire:
        reply = await send(wire, "POST", path, ACCEPT, JSON, body=b"{}")
    assert reply.status == 404
    assert "the MCP endpoint is /mcp" in reply.body.decode()


@on_loop
async def test_the_gateway_tells_of_itself() -> None:
    """Health, liveness, readiness and metrics."""
    door = Door()
    async with door.open() as wire:
        health = await send(wire, "GET", "/health")
        assert (health.status, json.loads(health.body)) == (503, {"status": "unavailable"})
        live = await send(wire, "GET", "/livez")
        assert (live.status, live.body) == (200, b"ok\n")
        assert (await send(wire, "GET", "/readyz")).status == 200
        door.service.is_ready = False
        starting = await send(wire, "GET", "/readyz")
        assert (starting.status, starting.body) == (503, b"starting\n")
        metrics = await send(wire, "GET", "/metrics")
        assert metrics.body == b"up 1\n"
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/health", "/livez", "/metrics"])
@on_loop
async def test_head_is_get_without_the_body(path: str) -> None:
    """Load balancers probe with it; the next request finds the line in order."""
    async with Door().open() as wire:
        get = await send(wire, "GET", path)
        await wire.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % get.status)
        assert b"Content-Length: %d\r\n" % len(get.body) in head
        assert (await send(wire, "GET", "/livez")).body == b"ok\n"


@on_loop
async def test_delete_ends_the_session_it_names() -> None:
    """An unknown session is told so."""
    door = Door()
    async with door.open() as wire:
        assert (await send(wire, "DELETE", "/mcp", b"Mcp-Session-Id: alive")).status == 200
        reply = await send(wire, "DELETE", "/mcp", b"Mcp-Session-Id: other")
    assert reply.status == 404
    error = json.loads(reply.body)["error"]
    assert error == {"code": -32600, "message": "unknown session. hint: initialize again"}
    assert [request.headers.session for request in door.service.ended] == ["alive", "other"]


@on_loop
async def test_other_hosts_and_origins_are_refused_before_anything_is_read() -> None:
    """Also where there is nothing."""
    door = Door()
    async with door.open() as wire:
        for method, path in (("POST", "/mcp"), ("GET", "/"), ("GET", "/api/v1/admin/x")):
            reply = await send(wire, method, path, ACCEPT, JSON, host=b"evil.example.com")
            assert reply.status == 421
            reply = await send(wire, method, path, ACCEPT, JSON, b"Origin: https://evil.org")
            assert reply.status == 403
            reply = await send(wire, method, path, ACCEPT, JSON, b"Origin: http://[\xff")
            assert reply.status == 403
    assert (door.service.requests, door.service.admin_paths) == ([], [])


@pytest.mark.parametrize(
    ("path", "status"), [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/health", 503)]
)
@on_loop
async def test_probes_are_answered_under_any_host_but_not_to_foreign_pages(
    path: str, status: int
) -> None:
    """An orchestrator and a scraper call by the address, which nobody can configure before."""
    async with Door().open() as wire:
        assert (await send(wire, "GET", path, host=b"10.1.2.3:8080")).status == status
        foreign = b"Origin: https://evil.org"
        assert (await send(wire, "GET", path, foreign, host=b"10.1.2.3")).status == 403


@on_loop
async def test_the_admin_api_answers_direct_callers_on_this_host() -> None:
    """Both address families."""
    door = Door()
    async with door.open() as wire:
        for remote in (None, "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            door.remote = remote
            reply = await send(wire, "GET", "/api/v1/admin/servers?x=1")
            assert (reply.status, reply.body) == (200, b'{"admin":true}')
    assert door.service.admin_paths == ["/api/v1/admin/servers"] * 5


@pytest.mark.parametrize("remote", ["10.0.0.7", "192.168.1.1", "::2", "::ffff:10.0.0.7", "", "?"])
@on_loop
async def test_the_admin_api_is_forbidden_to_callers_from_elsewhere(remote: str) -> None:
    """And to those of whom nothing is known."""
    door = Door()
    door.remote = remote
    async with door.open() as wire:
        assert (await send(wire, "GET", "/api/v1/admin/servers")).status == 403
        assert (await send(wire, "GET", "/livez")).status == 200
    assert door.service.admin_paths == []


@pytest.mark.parametrize(
    "line", [b"X-Forwarded-For: 127.0.0.1", b"forwarded: for=127.0.0.1", b"X-Real-IP: 127.0.0.1",
             b"Via: 1.1 proxy", b"X-Forwarded-Host: localhost"]
)  # fmt: skip
@on_loop
async def test_the_admin_api_is_forbidden_through_a_proxy(line: bytes) -> None:
    """Behind one, everybody seems to be on this host."""
    door = Door()
    async with door.open() as wire:
        assert (await send(wire, "GET", "/api/v1/admin/servers", line)).status == 403
    assert door.service.admin_paths == []


@on_loop
async def test_a_client_that_leaves_cancels_its_request() -> None:
    """In 2026-07-28 that is how a call is cancelled."""
    door = Door()
    door.service.answer = None
    async with door.open() as wire:
        await wire.send(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n" + ACCEPT
                        + b"\r\n" + JSON + b"\r\n\r\n{}")  # fmt: skip
        await eventually(lambda: door.service.requests, "the request to be under way")
        wire.writer.transport.abort()
        await eventually(lambda: door.service.cancelled == 1, "the request to be cancelled")


@on_loop
async def test_a_draining_worker_answers_and_closes() -> None:
    """The client's next request goes to a worker that stays."""
    door = Door()
    door.door.pages.draining = True
    async with door.open() as wire:
        reply = await send(wire, "POST", "/mcp", ACCEPT, JSON, body=b"{}")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await wire.ended() == b""
    async with door.open() as wire:
        reply = await send(wire, "GET", "/readyz")
        assert (reply.status, reply.body) == (503, b"draining\n")


@on_loop
async def test_a_client_that_waits_for_permission_gets_it() -> None:
    """As curl does with larger bodies."""
    door = Door()
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
    async with door.open() as wire:
        await wire.send(head + ACCEPT + b"\r\n" + JSON + b"\r\n\r\n")
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"{}")
        assert (await wire.reply()).status == 200
    async with door.open() as wire:
        await wire.send(head + ACCEPT + b"\r\nContent-Type: text/plain\r\n\r\n")
        assert (await wire.reply()).status == 415


@on_loop
async def test_an_answer_that_comes_twice_is_sent_once() -> None:
    """An exchange is used once, whoever forgets that."""
    door = Door()
    async with door.open() as wire:
        service = door.service

        def handle(request: Request, exchange: Exchange) -> Cancel:
            exchange.answer(Answer(200, b"1"))
            exchange.answer(Answer(200, b"2"))
            return FakeService.handle(service, request, exchange)

        service.handle = handle  # type: ignore[method-assign]
        assert (await send(wire, "POST", "/mcp", ACCEPT, JSON, body=b"{}")).body == b"1"
        assert (await send(wire, "GET", "/livez")).body == b"ok\n"
