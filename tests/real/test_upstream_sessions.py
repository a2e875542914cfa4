"""What many calls cost a backend: one session for all workers, and nothing but the calls."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.real.http_server import HttpServer, everything, python1, python2
from tests.support.aio_client import clients
from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway
from tests.support.loop import on_loop
from tests.support.mcp_client import McpClient

pytestmark = pytest.mark.real
CALLS = 400


def _config(url: str) -> dict[str, Any]:
    """Declare one server that is not asked again for its health or its lists while we count."""
    return {
        "servers": [{"id": "counting", "url": url, "health_check": {"interval": "1h"}}],
    }


async def _call_often(url: str, *, legacy: bool | None) -> None:
    """Make all calls at the same time, from clients on connections of their own."""
    async with clients(url, 50, legacy=legacy) as some:
        said = await asyncio.gather(
            *(some[n % 50].call("counting__echo", text=f"payload {n}") for n in range(CALLS))
        )
    assert said == [f"payload {n}" for n in range(CALLS)]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("eras", [("legacy",), ("modern",), ("legacy", "modern")], ids="-".join)
@on_loop
async def test_a_call_costs_a_backend_nothing_but_the_call(
    eras: tuple[str, ...], workers: int
) -> None:
    """No list and no greeting comes with a call; all workers are on one session, if on any."""
    with CountingBackend(*eras) as backend, Gateway(_config(backend.url), workers=workers) as gate:
        await _call_often(gate.url, legacy=None)  # what is learned of the backend is learned now
        before = backend.counts.copy()
        await _call_often(gate.url, legacy=None)
        asked = backend.counts - before
        assert backend.counts["initialize"] == 1  # a modern server is asked, too, and refuses
    assert asked == {"tools/call": CALLS}


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@on_loop
async def test_an_expired_session_is_opened_again_once(pure: bool) -> None:
    """The backend forgets every session amid the calls: all of them succeed, none runs twice."""
    with CountingBackend("legacy") as backend, Gateway(_config(backend.url), pure=pure) as gate:
        with McpClient(gate.port) as client:
            client.call("counting__echo", text="so that a session is open")
        before = backend.counts["initialize"]
        backend.forget_at = backend.counts["tools/call"] + CALLS // 2
        await _call_often(gate.url, legacy=None)
        assert backend.counts["initialize"] == before + 1
        assert set(backend.texts.values()) == {1}


def test_a_single_call_outlives_its_expired_session() -> None:
    """The first call after the backend forgot its sessions is answered as if nothing had been."""
    with CountingBackend("legacy") as backend, Gateway(_config(backend.url)) as gate:
        with McpClient(gate.port) as client:
            assert client.call("counting__echo", text="before") == "before"
            backend.sessions.clear()
            before = backend.counts["initialize"]
            assert client.call("counting__echo", text="after") == "after"
        assert backend.counts["initialize"] == before + 1


REAL = [
    pytest.param(everything, "get-sum", "The sum of {} and {} is {}.", id="everything"),
    pytest.param(python1, "add", "{2}", id="python1"),
    pytest.param(python2, "add", "{2}", id="python2"),
]


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "modern"])
@pytest.mark.parametrize(("make", "tool", "answer"), REAL)
def test_a_real_server_that_was_restarted_is_called_again(
    make: Callable[[], HttpServer], tool: str, answer: str, legacy: bool
) -> None:
    """Each SDK has its own way to say that it does not know a session: all are understood."""
    with make() as server:
        config = {"servers": [{"id": "real", "url": server.url}]}
        with Gateway(config) as gateway, McpClient(gateway.port) as client:
            if legacy:
                client.initialize()
            assert client.call(f"real__{tool}", a=1, b=1) == answer.format(1, 1, 2)
            server.kill()
            server.start()
            assert client.call(f"real__{tool}", a=2, b=2) == answer.format(2, 2, 4)
