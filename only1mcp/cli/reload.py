"""`reload`."""

import click

from only1mcp.cli.admin import ask
from only1mcp.cli.gateway import find_instance
from only1mcp.cli.output import Failure, json_option, port_option, print_json, say

_LISTED = ("added", "removed", "changed")


@click.command("reload")
@port_option
@json_option
def reload_command(port: int | None, as_json: bool) -> None:
    """Have a running gateway take over its configuration; a bad one changes nothing."""
    _, record = find_instance(port)
    outcome = ask("POST", "reload", record["control"])["reload"]
    if outcome["unconfirmed"]:
        raise Failure(
            "NOT_CONFIRMED", f"not in force yet in {', '.join(outcome['unconfirmed'])}",
            "see the log and only1mcp status", data={"reload": outcome},
        )  # fmt: skip
    if as_json:
        print_json("reload", outcome)
        return
    changes = [f"{kind}: {', '.join(outcome[kind])}" for kind in _LISTED if outcome[kind]]
    took = "" if outcome["message"].startswith("already") else f" in {outcome['took_ms']:g} ms"
    say("; ".join([outcome["message"] + took, *changes]))
