"""The Python SDK of the first generation: `python -m tests.real.clients.py1_errand WAY URL`.

WAY is sse or websocket; what was seen goes out on standard output.
"""

import asyncio
import json
import sys
import warnings

from mcp import ClientSession, types
from mcp.client.sse import sse_client
from mcp.client.websocket import websocket_client

from tests.real.clients.errand import Call, Errand
from tests.real.clients.journey import plain

warnings.simplefilter("ignore", DeprecationWarning)
WAYS = {"sse": sse_client, "websocket": websocket_client}


async def main(way: str, url: str) -> None:
    """Run the errand and print what was seen."""
    errand = Errand(types)

    async def change(call: Call) -> None:
        await call("conf__test_trigger_tool_change")
        await errand.changed.wait()

    async with (
        WAYS[way](url) as (incoming, outgoing),
        ClientSession(
            incoming, outgoing, sampling_callback=errand.sample, elicitation_callback=errand.elicit,
            list_roots_callback=errand.roots, logging_callback=errand.log,
            message_handler=errand.hear,
        ) as session,
    ):  # fmt: skip
        hello = plain(await session.initialize())
        seen = await errand.run(session, change)
    seen["version"] = hello["protocolVersion"]
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
