"""`demo-calc`: a Streamable HTTP server of 2026-07-28 with tools that are slow, flaky and large."""

import asyncio
import random
from typing import Any

import orjson
from aiohttp import web

from only1mcp.demo.mcp import DemoServer, Tool
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context

_NUMBER = {"type": "number"}
_MAX_SLOW_MS, _MAX_KB = 10_000, 1024


def _add(a: float, b: float) -> float:
    return a + b


def _flaky(p: float) -> str:
    if random.random() < p:  # noqa: S311 - a demonstration of failure, not of secrets
        raise ValueError(f"failed, as happens with probability {p}")
    return "went well"


def _big(kb: int) -> str:
    return "x" * (1024 * min(int(kb), _MAX_KB))


def _slow(ms: float) -> str:
    return f"answered after {min(ms, _MAX_SLOW_MS):g} ms"


TOOLS = [
    Tool("add", "Add two numbers.", _add, {"a": _NUMBER, "b": _NUMBER}, ("a", "b")),
    Tool("slow", "Answer after some milliseconds.", _slow, {"ms": _NUMBER}, ("ms",)),
    Tool("flaky", "Fail with a probability.", _flaky, {"p": _NUMBER}, ("p",)),
    Tool("big", "Answer with some kilobytes.", _big, {"kb": {"type": "integer"}}, ("kb",)),
]
_SERVER = DemoServer("demo-calc", TOOLS, modern=True)


async def _post(request: web.Request) -> web.Response:
    message: dict[str, Any] = orjson.loads(await request.read())
    params = message.get("params") or {}
    if message.get("method") == "tools/call" and params.get("name") == "slow":
        wait_ms = float((params.get("arguments") or {}).get("ms", 0))
        await asyncio.sleep(min(wait_ms, _MAX_SLOW_MS) / 1000)
    response = _SERVER.answer(message)
    if response is None:
        return web.Response(status=202)
    unknown = "error" in response and response["error"]["code"] == -32601
    return web.Response(
        status=404 if unknown else 200, body=orjson.dumps(response),
        content_type="application/json",
    )  # fmt: skip


async def serve_demo(context: Context, lifecycle: Lifecycle) -> None:
    """Be the demonstration server until told to stop."""
    app = web.Application()
    app.router.add_post("/mcp", _post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert context.listener is not None
    await web.SockSite(runner, context.listener.dup(), shutdown_timeout=0.2).start()
    lifecycle.ready()
    await lifecycle.stopping.wait()
    await runner.cleanup()
