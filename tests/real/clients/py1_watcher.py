"""The Python SDK of the first generation: `python -m tests.real.clients.py1_watcher URL URI TELLS`.

It subscribes to a resource and says each update that it hears of, one on a line. For each line that
it reads it has the server tell of the resource, through the tool TELLS. With the further argument
`roots` it can be asked for its roots, of which it has none.
"""

import asyncio
import sys
from typing import Any

from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl


def say(word: str) -> None:
    """Say something on a line of its own."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def hear(message: Any) -> None:
    """Say what was updated."""
    notification = getattr(message, "root", message)
    if isinstance(notification, types.ResourceUpdatedNotification):
        say(f"updated {notification.params.uri}")


async def roots(context: Any) -> types.ListRootsResult:
    """Have none."""
    del context
    return types.ListRootsResult(roots=[])


async def main(url: str, uri: str, tells: str, *more: str) -> None:
    """Watch until the input ends."""
    async with (
        streamable_http_client(url) as (incoming, outgoing, _),
        ClientSession(
            incoming, outgoing, message_handler=hear,
            list_roots_callback=roots if "roots" in more else None,
        ) as session,
    ):  # fmt: skip
        await session.initialize()
        await session.subscribe_resource(AnyUrl(uri))
        say("subscribed")
        while await asyncio.to_thread(sys.stdin.readline):
            await session.call_tool(tells, {})
            say("called")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
