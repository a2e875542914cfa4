"""The one legacy session with a server: opened, and ended."""

import asyncio
from dataclasses import replace

import pytest

from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import BackendTimeout
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp, make_client
from tests.support.loop import on_loop
from tests.support.scripted_server import ScriptedServer
from tests.unit.backends.test_http_session import LEGACY_CALL, met, who


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


@on_loop
async def test_a_server_logs_as_much_as_any_client_wants() -> None:
    """It is told so once for each session, and only if it can log."""
    server = ScriptedServer()
    async with met(server) as session:
        for can_log in (False, True):
            server.capabilities = {"logging": {}} if can_log else {}
            server.sessions.clear()
            for level in (None, 3, 5, 1):
                await session.request(replace(LEGACY_CALL, level=level))
        assert server.methods.count("logging/setLevel") == 2
        server.sessions.clear()
        await session.request(replace(LEGACY_CALL, level=3))
    assert server.methods.count("logging/setLevel") == 3
