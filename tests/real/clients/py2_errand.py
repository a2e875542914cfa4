"""The Python SDK of the second generation: `python -m tests.real.clients.py2_errand MODE COMMAND…`.

MODE is auto or legacy, the command a server on stdio; what was seen goes out on standard output.
"""

import asyncio
import json
import os
import sys

import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.real.clients.errand import Call, Errand


async def main(mode: str, command: str, *arguments: str) -> None:
    """Run the errand and print what was seen."""
    errand = Errand(types)
    server = StdioServerParameters(command=command, args=list(arguments), env=dict(os.environ))
    async with Client(
        server, mode=mode, sampling_callback=errand.sample, elicitation_callback=errand.elicit,
        list_roots_callback=errand.roots, logging_callback=errand.log, log_level="info",
        message_handler=errand.hear,
    ) as client:  # fmt: skip

        async def change(call: Call) -> None:
            if mode == "legacy":
                await call("conf__test_trigger_tool_change")
                await errand.changed.wait()
                return
            async with client.listen(tools_list_changed=True) as events:
                await call("conf__test_trigger_tool_change")
                async for _ in events:
                    break

        seen = await errand.run(client, change)
        seen["version"] = client.protocol_version
        seen["cancelled"] = await leave_a_call(client)
    json.dump(seen, sys.stdout)


async def leave_a_call(client: Client) -> str:
    """Leave a long call once it makes progress; the client must be of use after that."""
    begun = asyncio.Event()

    async def on_progress(*_: object) -> None:
        begun.set()

    arguments = {"duration": 600, "steps": 1200}
    name = "everything__trigger-long-running-operation"
    async with asyncio.TaskGroup() as group:
        call = group.create_task(client.call_tool(name, arguments, progress_callback=on_progress))
        await begun.wait()
        call.cancel()
    text: str = (await client.call_tool("everything__echo", {"message": "still"})).content[0].text
    return text


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
