"""A WebSocket server on the Python SDK of the first generation, on the port that PORT names."""

import asyncio
import os
from typing import Any

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.server.websocket import websocket_server

server = FastMCP("python1")


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


async def nap(seconds: int) -> str:
    """Answer later."""
    await asyncio.sleep(seconds)
    return "awake"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one connection; an ASGI application."""
    inner = server._mcp_server
    async with websocket_server(scope, receive, send) as (reads, writes):
        await inner.run(reads, writes, inner.create_initialization_options())


if __name__ == "__main__":
    server.add_tool(add)
    server.add_tool(nap)
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), lifespan="off")
