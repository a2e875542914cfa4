"""One HTTP server as the host sees it: met, listed, checked, lost and found."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from only1mcp.host.http_server import HttpServer
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Instance, Server
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import make_client
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.support.messages import MODERN
from tests.support.ports import free_port


class Site:
    """A modern server with tools, whose health the test sets; it may know the legacy way, too."""

    def __init__(self, *, legacy: bool = False) -> None:
        self.legacy = legacy
        self.tools = ["x"]
        self.status = 200
        self.silent = False
        self.lists = True
        """Whether it answers when it is asked for its tools."""
        self.methods: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        message = json.loads(await request.read())
        self.methods.append(message["method"])
        if self.silent or (not self.lists and message["method"] == "tools/list"):
            await asyncio.sleep(60)
        if self.status != 200:
            return web.Response(status=self.status)
        results: dict[str, Any] = {
            "server/discover": {"supportedVersions": [MODERN], "capabilities": {"tools": {}}},
            "tools/list": {"tools": [{"name": name} for name in self.tools]},
        }
        if self.legacy:
            results["initialize"] = {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "site", "version": "1"},
            }  # fmt: skip
        if "id" not in message:
            return web.Response(status=202)
        body = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] in results:
            body["result"] = results[message["method"]]
        else:
            body["error"] = {"code": -32601, "message": "no"}
        return web.json_response(body)


class Watched:
    """What the host hears of the server."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.details: list[str] = []
        self.down: list[set[str]] = []
        """The instances that were down, each time."""
        self.catalogues: list[Catalogue] = []
        self.server: HttpServer

    def take(self, status: ServerStatus) -> None:
        """Note what is told of the server."""
        self.states.append(status.state.value)
        self.details.append(status.detail)
        self.down.append(set(status.down))

    def hears(self, state: ServerState) -> bool:
        """Say whether this is the last state."""
        return bool(self.states) and self.states[-1] == state.value

    def tools(self) -> list[str]:
        """Return the tools that were last listed."""
        return [item.key for item in self.catalogues[-1].tools] if self.catalogues else []


@asynccontextmanager
async def watched(
    *urls: str, timeout_s: float = 30.0, check_interval_s: float = 0.02, check_s: float = 5.0
) -> AsyncIterator[Watched]:
    """Watch a server with these instances, very closely."""
    heard, tasks, client = Watched(), Tasks(), make_client()
    declared = Server(
        "srv", "http", "srv", instances=tuple(map(Instance, urls)),
        check_interval_s=check_interval_s, check_timeout_s=check_s,
        handshake_timeout_s=timeout_s, timeout_s=timeout_s,
    )  # fmt: skip
    observer = Observer(
        heard.take,
        lambda catalogue, kinds: heard.catalogues.append(catalogue),
        lambda server_id, uri, params: None,
        lambda server_id, params: None,
    )
    server = heard.server = HttpServer(declared, observer, tasks, client)
    server.start()
    try:
        yield heard
    finally:
        await server.stop()
        await tasks.cancel_all()
        await client.close()


@on_loop
async def test_a_server_is_met_listed_and_watched() -> None:
    """And its lists are read again now and then: not every server says when they change."""
    site = Site()
    async with http_site(site.handle) as url, watched(url) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        assert heard.tools() == ["x"]
        site.tools.append("y")
        await eventually(lambda: heard.tools() == ["x", "y"], "the new tool")
        assert heard.states == ["up"]
    assert heard.states == ["up", "stopped"]
    assert site.methods.count("server/discover") > 2


@on_loop
async def test_a_server_that_fails_is_down_until_it_is_back() -> None:
    """It is asked again and again."""
    site = Site()
    async with http_site(site.handle) as url, watched(url) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        site.status = 503
        await eventually(lambda: heard.hears(ServerState.DOWN), "the outage")
        site.status = 200
        await eventually(lambda: heard.hears(ServerState.UP), "its end")


@on_loop
async def test_a_server_that_says_nothing_is_down() -> None:
    """After the time for a handshake."""
    site = Site()
    async with http_site(site.handle) as url, watched(url, timeout_s=0.1) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        site.silent = True
        await eventually(lambda: heard.hears(ServerState.DOWN), "the verdict")


@on_loop
async def test_a_server_that_hangs_is_down_though_it_owes_us_its_lists() -> None:
    """Nobody waits for them longer than for the checks."""
    site = Site()
    async with http_site(site.handle) as url, watched(url, check_s=0.1) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        listed = site.methods.count("tools/list")
        site.lists = False
        await eventually(lambda: site.methods.count("tools/list") > listed, "it to be asked")
        site.silent = True
        await eventually(lambda: heard.hears(ServerState.DOWN), "the verdict")


@on_loop
async def test_one_that_hangs_before_it_has_told_its_lists_is_down_as_soon() -> None:
    """It was to speak for the server in the place of another."""
    first, second = Site(), Site()
    second.lists = False
    async with (
        http_site(first.handle) as url, http_site(second.handle) as other,
        watched(url, other, check_s=0.1) as heard,
    ):  # fmt: skip
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        first.status = 503
        await eventually(lambda: "tools/list" in second.methods, "the other to be asked")
        second.silent = True
        await eventually(lambda: heard.hears(ServerState.DOWN), "the verdict")


@on_loop
async def test_a_mistake_of_ours_costs_one_reading_of_the_lists() -> None:
    """They are read again as if the server had been away."""
    site = Site()

    class Broken(list[Catalogue]):
        """Takes all but the first."""

        def append(self, catalogue: Catalogue) -> None:
            heard.catalogues = []
            raise RuntimeError("a mistake")

    async with http_site(site.handle) as url, watched(url) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        heard.catalogues = Broken()
        site.tools.append("y")
        await eventually(lambda: heard.tools() == ["x", "y"], "the new tool")


@on_loop
async def test_one_instance_that_answers_is_enough() -> None:
    """It speaks for the server."""
    site = Site()
    gone = f"http://127.0.0.1:{free_port()}/mcp"
    async with http_site(site.handle) as url, watched(gone, url) as heard:
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")


@on_loop
async def test_a_server_that_lives_on_elsewhere_has_nothing_wrong_when_all_are_back() -> None:
    """What an instance lacked is told of that instance, and as long as it is so."""
    first, second = Site(), Site()
    async with (
        http_site(first.handle) as one, http_site(second.handle) as two,
        watched(one, two) as heard,
    ):  # fmt: skip
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        await eventually(lambda: second.methods, "a check of the other instance")
        first.status = 500
        await eventually(lambda: {one} in heard.down, "the end of an instance")
        lists = second.methods.count("tools/list")
        await eventually(
            lambda: second.methods.count("tools/list") > lists, "the other one to speak"
        )
        first.status = 200
        await eventually(lambda: not heard.down[-1], "its return")
        assert set(heard.states) == {"up"}
        assert set(heard.details) == {""}


@on_loop
async def test_a_server_that_was_never_there_is_down() -> None:
    """With its reason."""
    async with watched(f"http://127.0.0.1:{free_port()}/mcp") as heard:
        await eventually(lambda: heard.hears(ServerState.DOWN), "the verdict")
    assert "up" not in heard.states


@pytest.mark.parametrize("count", [1, 2])
@on_loop
async def test_an_instance_that_fails_is_not_asked_all_the_time(count: int) -> None:
    """Also if its legacy session was opened before, so that it still seems to answer."""
    sites = [Site(legacy=True) for _ in range(count)]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(http_site(site.handle)) for site in sites]
        heard = await stack.enter_async_context(watched(*urls, check_interval_s=0.2))
        await eventually(lambda: heard.hears(ServerState.UP), "the server to be up")
        await heard.server.learn_both_eras()
        for session in heard.server.sessions:
            await session.hello()
        await asyncio.sleep(0.3)
        sites[0].status, before = 500, len(sites[0].methods)
        await asyncio.sleep(2)
        assert 2 <= len(sites[0].methods) - before < 100
        assert heard.states[-1] == ("down" if count == 1 else "up")
