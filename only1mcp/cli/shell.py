"""`version` and `completion`."""

import platform

import click
from click.shell_completion import get_completion_class

from only1mcp import __version__
from only1mcp._speedups import ACCEL
from only1mcp.cli.main import cli
from only1mcp.cli.output import json_option, print_json


@click.command("version")
@json_option
def version_command(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        data = {"version": __version__, "python": platform.python_version(), "accel": ACCEL}
        print_json("version", data)
    else:
        click.echo(f"only1mcp {__version__} (Python {platform.python_version()}, {ACCEL})")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell: eval "$(only1mcp completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "only1mcp", "_ONLY1MCP_COMPLETE").source())
