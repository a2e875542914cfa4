"""The client that the suite judges: `python -m tests.conformance.client [direct] URL`.

It needs the interpreter of .real/py2, and does what each of the suite's client scenarios needs. The
suite's environment variables name the scenario and the revision to speak. Any failure ends it with
an error. `direct` says that there is no gateway between it and the suite.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp import Client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Plain = dict[str, Any]
Scenario = Callable[[Client], Awaitable[None]]

_SAMPLES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None,
            "object": {}, "array": []}  # fmt: skip


async def only_list(client: Client) -> None:
    """Ask for the tools, as every client does first."""
    await client.list_tools()


async def add_numbers(client: Client) -> None:
    """Call a tool with arguments."""
    await client.list_tools()
    await call(client, "add_numbers", {"a": 5, "b": 3})


async def accept_defaults(client: Client) -> None:
    """Call a tool that asks the user; `answer` accepts what the form suggests."""
    await client.list_tools()
    await call(client, "test_client_elicitation_defaults")


async def come_back(client: Client) -> None:
    """Call a tool whose stream is closed before the result."""
    await client.list_tools()
    await call(client, "test_reconnection")


async def several_rounds(client: Client) -> None:
    """Call tools that ask first, another one in between, and one with an old-fashioned result."""
    await client.list_tools()
    await asyncio.gather(call(client, "test_mrtr_echo_state"), call(client, "test_mrtr_unrelated"))
    await call(client, "test_mrtr_no_state")
    if "direct" in sys.argv:
        # The SDK insists on the resultType that is missing here; a gateway has to add it.
        with contextlib.suppress(ValueError):
            await call(client, "test_mrtr_no_result_type")
    else:
        await call(client, "test_mrtr_no_result_type")


async def everything_by_name(client: Client) -> None:
    """Send every request whose headers name something."""
    for tool in (await client.list_tools()).tools:
        await call(client, tool.name)
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def calls_in_context(client: Client) -> None:
    """Call the tools that the suite names, with its arguments."""
    await client.list_tools()
    for wanted in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        await call(client, wanted["name"], wanted["arguments"])


async def every_listed_tool(client: Client) -> None:
    """Call whatever tools there are."""
    for tool in (await client.list_tools()).tools:
        properties = tool.input_schema.get("properties", {})
        sample = {name: _SAMPLES[schema["type"]] for name, schema in properties.items()}
        await call(client, tool.name, sample)


async def echo_schema(client: Client) -> None:
    """Send a tool's schema back as it came."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    schema = tools["json_schema_2020_12_tool"].input_schema
    await call(client, "json_schema_echo", {"schema": schema})


SCENARIOS: dict[str, Scenario] = {
    "initialize": only_list,
    "tools_call": add_numbers,
    "elicitation-sep1034-client-defaults": accept_defaults,
    "sse-retry": come_back,
    "request-metadata": only_list,
    "sep-2322-client-request-state": several_rounds,
    "http-standard-headers": everything_by_name,
    "http-custom-headers": calls_in_context,
    "http-invalid-tool-headers": every_listed_tool,
    "json-schema-ref-no-deref": only_list,
    "json-schema-2020-12-preservation": echo_schema,
}


async def call(client: Client, name: str, arguments: Plain | None = None) -> None:
    """Call a tool, which must not fail."""
    result = await client.call_tool(name, arguments or {})
    if result.is_error:
        raise RuntimeError(f"{name} failed: {result.content}")


async def answer(context: Any, params: Any) -> Any:
    """Accept a form with the values that it suggests."""
    del context
    properties = params.requested_schema["properties"]
    content = {name: schema.get("default", True) for name, schema in properties.items()}
    return types.ElicitResult(action="accept", content=content)


async def complete(context: Any, params: Any) -> Any:
    """Be a model that says one thing."""
    del context, params
    said = types.TextContent(text="One thing.")
    return types.CreateMessageResult(role="assistant", content=said, model="none")


async def roots(context: Any) -> Any:
    """Have no roots."""
    del context
    return types.ListRootsResult(roots=[])


async def main(url: str) -> None:
    """Play the scenario."""
    version = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
    client = Client(
        url, mode="auto" if version in MODERN_PROTOCOL_VERSIONS else "legacy",
        elicitation_callback=answer, sampling_callback=complete, list_roots_callback=roots,
    )  # fmt: skip
    async with client:
        await SCENARIOS[os.environ["MCP_CONFORMANCE_SCENARIO"]](client)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
