"""A thousand calls at once, whose ids are all alike: each answer reaches the one who asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.real.http_server import HttpServer
from tests.real.installed import ALLOWED, node_server
from tests.support.aio_client import AioClient, clients
from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway
from tests.support.loop import on_loop
from tests.support.shuffler import shuffler

pytestmark = pytest.mark.real
CLIENTS, CALLS = 60, 1000
SETTINGS = [
    pytest.param(1, False, id="1-compiled"),
    pytest.param(4, False, id="4-compiled"),
    pytest.param(1, True, id="1-pure"),
    pytest.param(4, True, id="4-pure"),
]
Ask = Callable[[AioClient, int], Any]
"""Makes the call of this number and says whether the answer is its own."""


async def _everything_echoes(client: AioClient, number: int) -> bool:
    said = await client.call("everything__echo", message=f"payload {number}")
    return said == f"Echo: payload {number}"


async def _fixture_echoes(client: AioClient, number: int) -> bool:
    return await client.call("fixture__echo", text=f"payload {number}") == f"payload {number}"


async def _ask_all(url: str) -> int:
    """Have many clients call both servers at the same time; return how many were answered well."""
    ways = (_everything_echoes, _fixture_echoes)
    async with clients(url, CLIENTS) as some:
        answers = await asyncio.gather(
            *(ways[n // CLIENTS % 2](some[n % CLIENTS], n) for n in range(CALLS))
        )
    return sum(answers)


@pytest.mark.parametrize(("workers", "pure"), SETTINGS)
@on_loop
async def test_answers_of_stdio_servers_reach_their_callers(workers: int, pure: bool) -> None:
    """On one pipe, answers that come back out of order are given to whom they belong."""
    config = {
        "stdio": {"allowed_commands": ALLOWED},
        "servers": [
            node_server("everything", "server-everything", "stdio"), shuffler("fixture"),
        ],
    }  # fmt: skip
    with Gateway(config, workers=workers, pure=pure) as gateway:
        assert await _ask_all(gateway.url) == CALLS


@pytest.mark.parametrize(("workers", "pure"), SETTINGS)
@on_loop
async def test_answers_of_http_servers_reach_their_callers(
    workers: int, pure: bool, everything_http: HttpServer
) -> None:
    """On pooled connections and one shared session, nobody gets another's answer."""
    with CountingBackend("legacy", "modern") as backend:
        config = {
            "servers": [
                {"id": "everything", "url": everything_http.url},
                {"id": "fixture", "url": backend.url},
            ]
        }
        with Gateway(config, workers=workers, pure=pure) as gateway:
            assert await _ask_all(gateway.url) == CALLS
        assert set(backend.texts.values()) == {1}
