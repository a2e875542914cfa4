"""`cache` and `cache clear`."""

from typing import Any
from urllib.parse import urlencode

import click

from only1mcp.cli.admin import ask
from only1mcp.cli.gateway import control_get, find_instance
from only1mcp.cli.output import json_option, port_option, print_json, print_table, say


@click.group("cache", invoke_without_command=True)
@port_option
@json_option
@click.pass_context
def cache_command(ctx: click.Context, port: int | None, as_json: bool) -> None:
    """Show what a running gateway keeps of its servers' answers, or clear it."""
    if ctx.invoked_subcommand is not None:
        return
    _, record = find_instance(port)
    shown: dict[str, Any] = control_get("cache", record["control"])
    if as_json:
        print_json("cache", shown)
        return
    if not shown["enabled"]:
        click.echo("nothing is kept: proxy.cache.enabled is not set")
    print_table(
        ("SERVER", "HITS", "JOINED", "MISSES", "RATIO", "ENTRIES", "BYTES"),
        [
            (row["server"], row["hits"], row["joined"], row["misses"],
             f"{row['hit_ratio']:.0%}", row["entries"], row["bytes"])
            for row in shown["servers"]
        ],
    )  # fmt: skip


@cache_command.command("clear")
@click.argument("server", required=False)
@click.argument("tool", required=False)
@port_option
@json_option
def clear_command(server: str | None, tool: str | None, port: int | None, as_json: bool) -> None:
    """Forget everything, what a SERVER has answered, or what one TOOL of it has."""
    _, record = find_instance(port)
    said = {"server": server, "tool": tool}
    query = urlencode({key: value for key, value in said.items() if value is not None})
    answer = ask("POST", f"cache/clear?{query}", record["control"])
    if as_json:
        print_json("cache-clear", answer["cleared"])
        return
    what = " of ".join(part for part in (tool, server) if part is not None)
    say(f"cleared: {what or 'everything'}")
