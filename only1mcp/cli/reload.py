"""`reload`."""

import click

from only1mcp.cli.gateway import control_send, find_instance
from only1mcp.cli.output import INVALID, Failure, json_option, port_option, print_json, say
from only1mcp.cli.settings import invalid
from only1mcp.config.problems import ConfigInvalid, problem_of

_LISTED = ("added", "removed", "changed")


@click.command("reload")
@port_option
@json_option
def reload_command(port: int | None, as_json: bool) -> None:
    """Have a running gateway take over its configuration; a bad one changes nothing."""
    _, record = find_instance(port)
    _, answer = control_send("POST", "reload", record["control"])
    outcome = answer["reload"]
    if outcome["problems"]:
        raise invalid(ConfigInvalid(problem_of(plain) for plain in outcome["problems"]))
    if not outcome["ok"]:
        raise Failure("RELOAD_FAILED", outcome["message"], "see the log", exit_code=INVALID)
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
