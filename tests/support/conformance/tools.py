"""Tools that need nothing of the client."""

import asyncio

from mcp.shared.exceptions import MCPError
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY

from tests.support.conformance.call import Call
from tests.support.conformance.content import Block, audio, embedded, image, text
from tests.support.conformance.offer import Tools, arguments

PAUSE_S = 0.05
"""The suite wants time to pass between notifications."""

TOOLS = Tools()


class ToolFailedError(Exception):
    """What a tool reports as its own failure, in its result."""


@TOOLS.tool("test_simple_text")
async def simple_text(call: Call) -> list[Block]:
    """Return text."""
    del call
    return [text("This is a simple text response for testing.")]


@TOOLS.tool("test_image_content")
async def image_content(call: Call) -> list[Block]:
    """Return a picture."""
    del call
    return [image()]


@TOOLS.tool("test_audio_content")
async def audio_content(call: Call) -> list[Block]:
    """Return a recording."""
    del call
    return [audio()]


@TOOLS.tool("test_embedded_resource")
async def embedded_resource(call: Call) -> list[Block]:
    """Return a resource in the content."""
    del call
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


@TOOLS.tool("test_multiple_content_types")
async def multiple_content_types(call: Call) -> list[Block]:
    """Return text, a picture and a resource."""
    del call
    data = embedded("test://mixed-content-resource", '{"test":"data"}', "application/json")
    return [text("Multiple content types test:"), image(), data]


@TOOLS.tool("test_tool_with_logging")
async def tool_with_logging(call: Call) -> list[Block]:
    """Log three messages with pauses between them."""
    await call.log("Tool execution started")
    await asyncio.sleep(PAUSE_S)
    await call.log("Tool processing data")
    await asyncio.sleep(PAUSE_S)
    await call.log("Tool execution completed")
    return [text("Three messages were logged.")]


@TOOLS.tool("test_logging_tool")
async def logging_tool(call: Call) -> list[Block]:
    """Log one message."""
    await call.log("A message for who wants it")
    return [text("One message was logged.")]


@TOOLS.tool("test_tool_with_progress")
async def tool_with_progress(call: Call) -> list[Block]:
    """Report progress three times with pauses between them."""
    await call.progress(0, 100)
    await asyncio.sleep(PAUSE_S)
    await call.progress(50, 100)
    await asyncio.sleep(PAUSE_S)
    await call.progress(100, 100)
    return [text("Progress was reported three times.")]


@TOOLS.tool("test_error_handling")
async def error_handling(call: Call) -> list[Block]:
    """Fail."""
    del call
    raise ToolFailedError("This tool intentionally returns an error for testing")


@TOOLS.tool("test_reconnection")
async def reconnection(call: Call) -> list[Block]:
    """Close the stream in the middle of the call; the result is there for who comes back."""
    await call.hang_up()
    await asyncio.sleep(PAUSE_S)
    return [text("The stream was closed before this was said.")]


@TOOLS.tool("test_missing_capability")
async def missing_capability(call: Call) -> list[Block]:
    """Refuse clients that did not declare sampling."""
    if "sampling" in call.capabilities:
        return [text("Sampling was declared.")]
    if not call.is_modern:
        raise ToolFailedError("The client did not declare sampling.")
    raise MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY, "The client did not declare sampling",
        {"requiredCapabilities": {"sampling": {}}},
    )  # fmt: skip


@TOOLS.tool("test_header_param", arguments(region={"type": "string", "x-mcp-header": "Region"}))
async def header_param(call: Call) -> list[Block]:
    """Return the argument that also stands in a header."""
    return [text(f"The region is {call.arguments['region']}.")]


_ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"address": _ADDRESS},
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@TOOLS.tool("json_schema_2020_12_tool", _SCHEMA)
async def json_schema_2020_12(call: Call) -> list[Block]:
    """Return the arguments, whose schema uses all that JSON Schema 2020-12 has."""
    return [text(f"Called with {sorted(call.arguments)}.")]
