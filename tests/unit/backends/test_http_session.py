"""Our standing with one HTTP server: its era, and one session for all calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
)
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp, make_client
from tests.support.http_site import raw_site
from tests.support.loop import on_loop
from tests.support.messages import MODERN
from tests.support.scripted_server import ScriptedServer, error, result

LEGACY_CALL = Outgoing("tools/call", b'{"name":"x"}', Era.LEGACY, "x")
MODERN_CALL = Outgoing("tools/call", b'{"name":"\xc3\xa9"}', Era.MODERN, "é")


@asynccontextmanager
async def session_at(url: str) -> AsyncIterator[HttpSession]:
    """Stand with the server at an address."""
    client, tasks = make_client(), Tasks()
    try:
        yield HttpSession("srv", StreamableHttp(client, "srv", url, {}), 30.0, tasks)
    finally:
        await tasks.cancel_all()
        await client.close()


@asynccontextmanager
async def met(server: ScriptedServer) -> AsyncIterator[HttpSession]:
    """Serve, and stand with it."""
    async with server.open() as url, session_at(url) as session:
        yield session


def who(reply: Envelope) -> str:
    """Return which server answered."""
    return str(json.loads(reply.body)["result"]["from"])


@on_loop
async def test_a_legacy_session_is_opened_once_for_all_calls() -> None:
    """Also when they come at the same moment."""
    server = ScriptedServer()
    async with met(server) as session:
        replies = await asyncio.gather(*(session.request(LEGACY_CALL) for _ in range(20)))
    assert {who(reply) for reply in replies} == {"srv"}
    assert server.methods.count("initialize") == 1
    assert server.methods[:2] == ["initialize", "notifications/initialized"]
    _, _, headers = server.requests[-1]
    assert headers == {
        "mcp-protocol-version": "2025-11-25", "mcp-session-id": "srv-1",
        "mcp-method": "tools/call",
    }  # fmt: skip


@on_loop
async def test_a_server_without_sessions_is_served_without() -> None:
    """No header is made up."""
    server = ScriptedServer()
    server.keeps_sessions = False
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        await session.close()
    assert all("mcp-session-id" not in headers for _, _, headers in server.requests)
    assert "DELETE" not in [method for method, _, _ in server.requests]


@on_loop
async def test_a_modern_call_needs_no_session_and_names_its_target() -> None:
    """In the headers, encoded where it must be."""
    server = ScriptedServer(modern=True, legacy=False)
    async with met(server) as session:
        assert who(await session.request(MODERN_CALL)) == "srv"
    assert server.requests == [
        ("POST", "tools/call", {
            "mcp-protocol-version": MODERN, "mcp-method": "tools/call",
            "mcp-name": "=?base64?w6k=?=",
        }),
    ]  # fmt: skip


@pytest.mark.parametrize("status", [404, 400])
@on_loop
async def test_a_forgotten_session_is_opened_anew_and_the_call_sent_again(status: int) -> None:
    """Once, for all calls that found it so: none of them ran."""
    server = ScriptedServer()
    server.forgotten_status = status
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        server.sessions.clear()
        replies = await asyncio.gather(*(session.request(LEGACY_CALL) for _ in range(10)))
    assert {who(reply) for reply in replies} == {"srv"}
    assert server.methods.count("initialize") == 2


@on_loop
async def test_a_server_that_forgets_each_session_at_once_is_not_asked_for_ever() -> None:
    """The second refusal is the answer."""
    server = ScriptedServer()
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        server.sessions.clear()
        server.responses = [error(None, -32600, 404), error(None, -32600, 404)]
        reply = await session.request(LEGACY_CALL)
    assert json.loads(reply.body)["error"]["code"] == -32600
    assert server.methods.count("initialize") == 2


@on_loop
async def test_an_error_of_the_server_s_own_is_a_reply() -> None:
    """With any HTTP status."""
    server = ScriptedServer(modern=True)
    async with met(server) as session:
        for status in (200, 400, 404):
            server.responses = [error(1, -32602, status)]
            reply = await session.request(MODERN_CALL)
            assert json.loads(reply.body)["error"]["code"] == -32602


FAILURES = [
    (web.Response(status=401), BackendUnreachable, "refuses our credentials"),
    (web.Response(status=403, text="no"), BackendUnreachable, "refuses our credentials"),
    (web.Response(status=429), BackendUnreachable, "unavailable"),
    (web.Response(status=503), BackendUnreachable, "unavailable"),
    (web.Response(status=502), BackendLost, "unavailable"),
    (web.Response(status=504), BackendLost, "unavailable"),
    (web.Response(status=302, headers={"Location": "/x"}), BackendProtocolError, "redirects"),
    (web.Response(status=500, text="oops"), BackendProtocolError, "HTTP status 500"),
    (web.Response(status=202), BackendProtocolError, "HTTP status 202"),
    (result(4711, {}), BackendProtocolError, "answered another request"),
    (result("1", {}), BackendProtocolError, "answered another request"),
]


@pytest.mark.parametrize(("response", "kind", "words"), FAILURES)
@on_loop
async def test_an_answer_that_is_none_is_a_failure_of_its_kind(
    response: web.Response, kind: type[BackendError], words: str
) -> None:
    """By its status, as it tells whether the call may have run."""
    server = ScriptedServer(modern=True)
    async with met(server) as session:
        server.responses = [response]
        with pytest.raises(kind, match=words):
            await session.request(MODERN_CALL)


@pytest.mark.parametrize(
    ("modern", "legacy", "eras"),
    [(True, False, {Era.MODERN}), (False, True, {Era.LEGACY}), (True, True, set(Era))],
)
@on_loop
async def test_the_probe_finds_out_which_eras_a_server_speaks(
    modern: bool, legacy: bool, eras: set[Era]
) -> None:
    """One of them is enough."""
    async with met(ScriptedServer(modern=modern, legacy=legacy)) as session:
        hello = await session.probe(both=True)
    assert set(hello.eras) == eras
    assert hello.era is (Era.MODERN if modern else Era.LEGACY)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", BackendUnreachable),
     (b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", BackendUnreachable),
     (b"", BackendLost)],
)  # fmt: skip
@on_loop
async def test_an_outage_is_no_verdict_on_the_era(answer: bytes, kind: type[BackendError]) -> None:
    """It is asked again later."""
    async with raw_site(answer) as url, session_at(url) as session:
        with pytest.raises(kind):
            await session.probe(both=True)


@on_loop
async def test_a_server_of_no_era_is_refused() -> None:
    """With what it said to initialize."""
    async with met(ScriptedServer(modern=False, legacy=False)) as session:
        with pytest.raises(BackendProtocolError, match="initialize was refused"):
            await session.probe(both=True)


@on_loop
async def test_a_ping_is_a_request_of_the_era() -> None:
    """Discover for modern servers."""
    server = ScriptedServer(modern=True)
    async with met(server) as session:
        await session.ping(Era.MODERN)
        await session.ping(Era.LEGACY)
    assert (server.methods[0], server.methods[-1]) == ("server/discover", "ping")


@on_loop
async def test_closing_ends_the_session_once() -> None:
    """A session that was never opened needs no end."""
    server = ScriptedServer()
    async with met(server) as session:
        await session.close()
        await session.request(LEGACY_CALL)
        await session.close()
        await session.close()
    assert [method for method, _, _ in server.requests].count("DELETE") == 1
    assert server.sessions == set()


@on_loop
async def test_closing_does_not_depend_on_the_server() -> None:
    """It may be gone, or hang up."""
    server = ScriptedServer()
    client = make_client()
    async with server.open() as url:
        session = HttpSession("srv", StreamableHttp(client, "srv", url, {}), 30.0, Tasks())
        await session.request(LEGACY_CALL)
    await session.close()
    await client.close()


@on_loop
async def test_a_handshake_has_a_deadline_of_its_own() -> None:
    """Shorter than a call's."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    client = make_client()
    session = HttpSession("srv", StreamableHttp(client, "srv", url, {}), 0.05, Tasks())
    with pytest.raises(BackendTimeout, match=r"within 0\.05 s"):
        await session.request(LEGACY_CALL)
    await client.close()
    server.close()
