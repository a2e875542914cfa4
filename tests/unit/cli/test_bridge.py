"""The stream of a session, and what the client says next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from only1mcp.cli import bridge
from only1mcp.cli.bridge import Bridge
from only1mcp.cli.remote import Remote
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.support.mcp_client import LEGACY

FOR_EVER_S = 1e6


def message(method: str, request_id: int | None = None) -> bytes:
    """Write a request, or a notification without an id."""
    has_id = {} if request_id is None else {"id": request_id}
    return orjson.dumps({"jsonrpc": "2.0", **has_id, "method": method})


@asynccontextmanager
async def connected(
    status: int, version: object = LEGACY
) -> AsyncIterator[tuple[Bridge, list[str]]]:
    """Yield a bridge to an endpoint that answers `GET` with a status, and what it is asked."""
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            seen.append(request.method)
            return web.Response(status=status)
        said = orjson.loads(await request.read())
        seen.append(said["method"])
        if said["method"] != "initialize":
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
        for said in (message("initialize", 1), message("notifications/initialized")):
            await one.take(said)
        await one.take(message("next", 2))
        await eventually(lambda: "next" in seen, "the next message")
        assert seen[:4] == ["initialize", "notifications/initialized", "GET", "next"]


@on_loop
async def test_a_revision_that_is_no_string_is_left_out() -> None:
    """It can stand in no header; whether it is one is for the client to say."""
    async with connected(405, version=7) as (one, seen):
        await one.take(message("initialize", 1))
        await one.take(message("notifications/initialized"))
        await one.take(message("next", 2))
        await eventually(lambda: "next" in seen, "the next message")


@on_loop
async def test_a_batch_is_not_waited_for() -> None:
    """Its calls may ask the client, whose answers are messages behind it."""
    async with connected(405) as (one, seen):
        await one.take(message("initialize", 1))
        await one.take(b"[%b]" % message("notifications/initialized"))
        await eventually(lambda: "GET" in seen, "the stream")
