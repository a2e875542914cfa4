"""The Python SDK of the first generation: `python -m tests.real.clients.py1_client URL MODE`.

The journey comes in on standard input; what was seen goes out on standard output.
"""

import asyncio
import json
import sys

from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from tests.real.clients.journey import plain, travel


async def main(url: str) -> None:
    """Take the journey and print what was seen."""
    journey = json.load(sys.stdin)
    async with (
        streamable_http_client(url) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        hello = plain(await session.initialize())
        seen = await travel(session, types, journey)
    seen["version"], seen["server"] = hello["protocolVersion"], hello["serverInfo"]["name"]
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
