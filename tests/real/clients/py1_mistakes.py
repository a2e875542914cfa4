"""A client that errs: `python -m tests.real.clients.py1_mistakes URL`; prints what became of it.

On the Python SDK of the first generation, which holds any 404 for the end of its session.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client


async def main(url: str) -> None:
    """Err in several ways, then ask for something that there is."""
    async with (
        streamable_http_client(url) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        unknown = types.ListToolsRequest.model_construct(method="no/such")
        errors = [
            await _error_of(session.list_tools(cursor="nonsense")),
            await _error_of(session.send_request(unknown, types.EmptyResult)),
            await _error_of(session.call_tool("no-such", {})),
            await _error_of(session.read_resource("no:such")),
        ]
        tools = [tool.name for tool in (await session.list_tools()).tools]
    json.dump({"errors": errors, "tools": tools}, sys.stdout)


async def _error_of(asked: Awaitable[Any]) -> list[Any]:
    try:
        await asked
    except McpError as error:
        return [error.error.code, error.error.message]
    return []


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
