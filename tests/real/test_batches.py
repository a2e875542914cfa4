"""Batches of an official SDK's client, and to an official SDK's server."""

import asyncio
import json
import subprocess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.http_server import everything, python1
from tests.real.installed import CLIENTS, FOLDER, NODE
from tests.support.aio_client import clients
from tests.support.gateway import Gateway
from tests.support.loop import on_loop

pytestmark = pytest.mark.real
CLIENT_TIMEOUT_S = 60.0
CALLS = 200
BATCHING = {"window": "300ms", "max": 20, "any_revision": True}
"""These servers take batches, although they speak newer revisions."""


def batched(gateway: Gateway) -> tuple[float, float]:
    """Return how many batches were sent, and how many calls in them."""
    text = gateway.get("/metrics")[1].decode()
    found = {
        sample.name: sample.value for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip
    name = "only1mcp_upstream_batche"
    return found.get(f"{name}s_total", 0), found.get(f"{name}d_requests_total", 0)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_the_typescript_sdk_reads_what_answers_its_batches(pure: bool) -> None:
    """Arrays, and streams once a member makes progress."""
    with everything() as server:
        config = {"servers": [{"id": "everything", "url": server.url}]}
        with Gateway(config, pure=pure) as gateway:
            done = subprocess.run(
                [NODE, str(CLIENTS / "ts_batch.mjs"), gateway.url], cwd=FOLDER,
                capture_output=True, text=True, check=False, timeout=CLIENT_TIMEOUT_S,
            )  # fmt: skip
    assert done.returncode == 0, done.stderr
    heard: list[dict[str, Any]] = json.loads(done.stdout)
    answers = {one["id"]: one["result"] for one in heard if "id" in one}
    assert answers.keys() == {"hello", "a", "b", "c", "p", "d", "e"}
    for name in "abce":
        assert answers[name]["content"][0]["text"] == f"Echo: {name}"
    progress = [one["params"] for one in heard if one.get("method") == "notifications/progress"]
    assert {one["progressToken"] for one in progress} == {"mine"}
    assert [one["progress"] for one in progress] == [1, 2]


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "modern"])
@on_loop
async def test_a_server_of_the_typescript_sdk_takes_batches(legacy: bool) -> None:
    """It answers on streams; each call gets its own answer, in fewer than half the round trips."""
    with everything() as server:
        entry = {"id": "everything", "url": server.url, "batching": BATCHING}
        with Gateway({"proxy": {"timeout": "60s"}, "servers": [entry]}, workers=2) as gateway:
            async with clients(gateway.url, CALLS // 4, legacy=legacy) as some:
                calls = (
                    some[n % len(some)].call("everything__echo", message=str(n))
                    for n in range(CALLS)
                )
                assert await asyncio.gather(*calls) == [f"Echo: {n}" for n in range(CALLS)]
            batches, members = batched(gateway)
            assert "takes no batches" not in gateway.log
    assert batches + CALLS - members <= CALLS // 2


@on_loop
async def test_a_server_of_the_python_sdk_refuses_batches_and_loses_no_call() -> None:
    """It never took any, whatever revision it spoke; its calls travel alone then."""
    with python1() as server:
        entry = {"id": "s", "url": server.url, "batching": BATCHING}
        with Gateway({"proxy": {"timeout": "60s"}, "servers": [entry]}, workers=1) as gateway:
            async with clients(gateway.url, 10, legacy=True) as some:
                for _ in range(2):
                    calls = (some[n % 10].call("s__add", a=n, b=1) for n in range(40))
                    assert await asyncio.gather(*calls) == [str(n + 1) for n in range(40)]
            assert gateway.log.count("takes no batches") == 1
