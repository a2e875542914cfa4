"""`tools list` and `tools call`."""

import json
from typing import Any

import click

from only1mcp.cli.gateway import McpClient, endpoint
from only1mcp.cli.keys import key_option, read_key
from only1mcp.cli.output import (
    USAGE,
    Failure,
    json_option,
    port_option,
    print_json,
    print_table,
    url_option,
)

_TOOL_FAILED = 1


@click.group("tools")
def tools_command() -> None:
    """List and call tools through the gateway."""


@tools_command.command("list")
@url_option
@port_option
@key_option
@json_option
def list_tools(url: str | None, port: int | None, key_file: str | None, as_json: bool) -> None:
    """List all tools."""
    tools = McpClient(endpoint(url, port), read_key(key_file)).list_all("tools/list", "tools")
    if as_json:
        print_json("tools", tools)
        return
    rows = [(tool["name"], (tool.get("description") or "").split("\n")[0][:80]) for tool in tools]
    print_table(("TOOL", "DESCRIPTION"), rows)


@tools_command.command("call")
@click.argument("name")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--args", "arguments", default="{}", help="Arguments as a JSON object.")
@url_option
@port_option
@key_option
@json_option
def call_tool(
    name: str, pairs: tuple[str, ...], arguments: str, url: str | None, port: int | None,
    key_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Call one tool and print what it says.

    A value that is JSON is passed as such, anything else as text.
    """
    params = {"name": name, "arguments": _arguments(arguments, pairs)}
    result = McpClient(endpoint(url, port), read_key(key_file)).request("tools/call", params, name)
    if as_json:
        print_json("tool-result", result)
    else:
        for part in result.get("content", []):
            click.echo(part["text"] if part.get("type") == "text" else json.dumps(part))
    if result.get("isError"):
        raise SystemExit(_TOOL_FAILED)


def _arguments(text: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise _bad_args(f"--args is not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise _bad_args("--args must be a JSON object")
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise _bad_args(f"{pair!r} is not KEY=VALUE")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments


def _bad_args(message: str) -> Failure:
    hint = """write a=1 b=text, or --args '{"a": 1, "b": "text"}'"""
    return Failure("BAD_ARGS", message, hint, exit_code=USAGE)
