"""The stream of a session, and what the client says next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from only1mcp.cli import bridge
from only1mcp.cli.bridge import Bridge
from only1mcp.cli.remote import Remote
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.support.mcp_client import LEGACY
from tests.support.way_clients import INITIALIZED, initialize, legacy

FOR_EVER_S = 1e6


NEXT = legacy(2, "next")


async def say(one: Bridge, *messages: Any) -> None:
    """Have the client write messages."""
    for message in messages:
        await one.take(orjson.dumps(message))


@asynccontextmanager
async def connected(
    status: int, version: object = LEGACY
) -> AsyncIterator[tuple[Bridge, list[str]]]:
    """Yield a bridge to an endpoint that answers `GET` with a status, and what it is asked.

    Args:
        status: 0 if `GET` is never answered.
        version: what revision the endpoint says it speaks.
    """
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            seen.append(request.method)
            if not status:
                await asyncio.Event().wait()
            return web.Response(status=status)
        said = orjson.loads(await request.read())
        seen.append("batch" if isinstance(said, list) else said["method"])
        if seen[-1] != "initialize":
            return web.Response(status=202)
        answer = {"jsonrpc": "2.0", "id": said["id"], "result": {"protocolVersion": version}}
        return web.json_response(answer, headers={"Mcp-Session-Id": "s"})

    async with http_site(handle) as url, Remote(url) as remote:
        one = Bridge(remote, lambda _: None)
        yield one, seen
        await one.close(0)


@pytest.mark.parametrize("status", [200, 400, 404, 405, 500, 503])
@on_loop
async def test_a_stream_that_is_refused_holds_up_nothing(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is refused: what the client says next is sent at once, behind the refusal."""
    monkeypatch.setattr(bridge, "OPENED_S", FOR_EVER_S)
    async with connected(status) as (one, seen):
        await say(one, initialize(), INITIALIZED, NEXT)
        await eventually(lambda: "next" in seen, "the next message")
        assert seen[:4] == ["initialize", "notifications/initialized", "GET", "next"]


@on_loop
async def test_a_revision_that_is_no_string_is_left_out() -> None:
    """It can stand in no header; whether it is one is for the client to say."""
    async with connected(405, version=7) as (one, seen):
        await say(one, initialize(), INITIALIZED, NEXT)
        await eventually(lambda: "next" in seen, "the next message")


@on_loop
async def test_a_batch_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls may ask the client, whose answers are messages behind it; nor is its stream."""
    monkeypatch.setattr(bridge, "OPENED_S", FOR_EVER_S)
    async with connected(0) as (one, seen):
        await say(one, initialize(), [INITIALIZED, legacy(1, "ping")], NEXT)
        await eventually(lambda: "GET" in seen, "the stream")
        await eventually(lambda: "next" in seen, "the next message")
        await one.close(FOR_EVER_S)  # waits for what is under way: the batch is not
