"""What clients notice when a server, a worker or a whole backend is gone: as little as can be."""

import asyncio
import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.real.http_server import everything
from tests.real.installed import ALLOWED, PY1, PY2, node_server, python_server
from tests.support.aio_client import AioClient, clients
from tests.support.gateway import Gateway
from tests.support.loop import eventually, on_loop
from tests.support.mcp_client import CallFailed, McpClient
from tests.support.shuffler import shuffler
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real
NO_PROGRAM = "/nonexistent/mcp-server"
EVERYTHING = node_server("everything", "server-everything", "stdio")


def _config(*servers: dict[str, Any]) -> dict[str, Any]:
    return {"stdio": {"allowed_commands": [*ALLOWED, NO_PROGRAM]}, "servers": list(servers)}


class _Caller:
    """Calls server-everything again and again, and counts the answers."""

    def __init__(self, client: AioClient, *, retries: bool = False) -> None:
        self.client = client
        self.answered = 0
        self.lost = 0
        self._retries = retries

    async def run(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            try:
                said = await self.client.call("everything__get-sum", a=self.answered, b=0)
            except aiohttp.ClientError:
                if not self._retries:
                    raise
                self.lost += 1
                continue
            assert f" {self.answered}." in said
            self.answered += 1


def test_a_server_that_had_to_pause_is_not_ended_by_its_health_checks() -> None:
    """The first Python SDK dies of a check that is withdrawn while it has it to answer."""
    time = python_server("time", PY1, "mcp_server_time", "--local-timezone", "UTC")
    checks = {"check_interval": "200ms", "timeout": "200ms", "failure_threshold": 2}
    config = {**_config(time), "proxy": {"health": checks, "handshake_timeout": "30s"}}
    with Gateway(config) as gateway, McpClient(gateway.port) as client:
        before = gateway.server("time")
        os.kill(before["pid"], signal.SIGSTOP)
        try:
            wait_until(lambda: gateway.server("time")["state"] == "down", "checks find it")
        finally:
            os.kill(before["pid"], signal.SIGCONT)
        gateway.wait_up("time")
        assert "UTC" in client.call("time__get_current_time", timezone="UTC")
        after = gateway.server("time")
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


@pytest.mark.parametrize("workers", [1, 4])
@on_loop
async def test_a_child_killed_amid_a_call_fails_that_call_only(
    workers: int, tmp_path: Path
) -> None:
    """The error names the server, calls to others go on, and a later call meets a new child."""
    held, enough = tmp_path / "held", asyncio.Event()
    with Gateway(_config(EVERYTHING, shuffler("fragile")), workers=workers) as gateway:
        async with clients(gateway.url, 5) as (holder, *others), asyncio.TaskGroup() as tasks:
            callers = [_Caller(client) for client in others]
            for caller in callers:
                tasks.create_task(caller.run(enough))
            call = tasks.create_task(_failure(holder, "fragile__hold", held))
            await eventually(held.exists, "the call reaches the child")
            pid = gateway.server("fragile")["pid"]
            os.kill(pid, signal.SIGKILL)
            error = await call
            before = sum(caller.answered for caller in callers)
            await eventually(
                lambda: sum(caller.answered for caller in callers) > before + 100,
                "calls to the other server go on",
            )
            enough.set()
            assert "server fragile killed by SIGKILL" in error["message"]
            gateway.wait_up("fragile")
            assert await holder.call("fragile__echo", text="again") == "again"
        assert gateway.server("fragile")["pid"] != pid


async def _failure(client: AioClient, tool: str, held: Path) -> dict[str, Any]:
    """Make a call that is to fail, and return its error."""
    _, message = await client.request("tools/call", name=tool, arguments={"text": str(held)})
    error: dict[str, Any] = message["error"]
    return error


@on_loop
async def test_a_client_that_retries_outlives_every_worker() -> None:
    """Workers are killed one after the other: sessions stay valid, and no answer is wrong."""
    enough = asyncio.Event()
    with Gateway(_config(EVERYTHING), workers=2) as gateway:
        async with clients(gateway.url, 12, legacy=True) as some, asyncio.TaskGroup() as tasks:
            callers = [_Caller(client, retries=True) for client in some]
            for caller in callers:
                tasks.create_task(caller.run(enough))
            for pid in gateway.pids("worker"):
                await _all_are_answered(callers)
                os.kill(pid, signal.SIGKILL)
                replaced = functools.partial(_is_replaced, gateway, pid)
                await eventually(replaced, "another worker takes its place")
            await _all_are_answered(callers)
            enough.set()
        assert all(caller.lost for caller in callers)


def _is_replaced(gateway: Gateway, pid: int) -> bool:
    rows = [row for row in gateway.status()["processes"] if row["role"] == "worker"]
    return len(rows) == 2 and all(row["pid"] != pid and row["state"] == "ready" for row in rows)


async def _all_are_answered(callers: list[_Caller]) -> None:
    """Wait until every client has got answers from now on."""
    before = [caller.answered for caller in callers]
    await eventually(
        lambda: all(
            caller.answered > count + 5 for caller, count in zip(callers, before, strict=True)
        ),
        "every client is answered",
    )


@pytest.fixture
def two_missing() -> Iterator[tuple[Gateway, Any]]:
    """Run a gateway two of whose servers are not there: a program, and an HTTP server."""
    late = everything()
    config = _config(
        {"id": "no-program", "command": NO_PROGRAM},
        {"id": "late", "url": late.url, "health_check": {"interval": "1s"}},
        EVERYTHING,
        python_server("time", PY2, "mcp_server_time", "--local-timezone", "UTC"),
    )
    with Gateway(config, workers=2, wait_for=["everything", "time"]) as gateway:
        yield gateway, late
    late.kill()


def test_servers_that_are_missing_do_not_keep_the_others(two_missing: tuple[Gateway, Any]) -> None:
    """All that is there is listed and called; the status says what is missing, and why."""
    gateway, _ = two_missing
    with McpClient(gateway.port) as client:
        owners = {name.partition("__")[0] for name in client.tools()}
        assert owners == {"everything", "time"}
        assert client.call("everything__get-sum", a=1, b=2) == "The sum of 1 and 2 is 3."
        assert "UTC" in client.call("time__get_current_time", timezone="UTC")
        with pytest.raises(CallFailed, match="server late is not up"):
            client.call("late__get-sum", a=1, b=2)
    wait_until(lambda: gateway.server("no-program")["state"] in ("down", "parked"), "it is down")
    program, late = gateway.server("no-program"), gateway.server("late")
    assert f"cannot execute {NO_PROGRAM}: No such file or directory" in program["detail"]
    assert late["state"] == "down"
    assert late["detail"].startswith("server late cannot be reached (127.0.0.1:")
    assert "refuses connections; is the server running" in late["detail"]


def test_a_server_that_comes_late_is_served(two_missing: tuple[Gateway, Any]) -> None:
    """Once the missing HTTP server is there, its tools are listed and called."""
    gateway, late = two_missing
    late.start()
    gateway.wait_up("late")
    with McpClient(gateway.port) as client:
        wait_until(lambda: "late__get-sum" in client.tools(), "its tools are listed")
        assert client.call("late__get-sum", a=1, b=2) == "The sum of 1 and 2 is 3."
