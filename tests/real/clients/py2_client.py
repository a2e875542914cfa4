"""The Python SDK of the second generation: `python -m tests.real.clients.py2_client URL MODE`.

The journey comes in on standard input; what was seen goes out on standard output.
"""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client

from tests.real.clients.journey import travel


async def main(url: str, mode: str) -> None:
    """Take the journey and print what was seen."""
    journey = json.load(sys.stdin)
    async with Client(url, mode=mode) as client:
        seen = await travel(client, types, journey)
        seen["version"] = client.protocol_version
        seen["server"] = client.server_info and client.server_info.name
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
