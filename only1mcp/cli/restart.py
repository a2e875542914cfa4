"""`restart`."""

import click

from only1mcp.cli.admin import ask
from only1mcp.cli.fleet import serving, wait_until, workers
from only1mcp.cli.gateway import find_instance
from only1mcp.cli.output import json_option, port_option, print_json, say


@click.command("restart")
@port_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait.")
@json_option
def restart_command(port: int | None, timeout: float, as_json: bool) -> None:
    """Replace the workers, one after the other; no request is lost.

    Each new one serves before the one in its place finishes what it has and ends.
    """
    instance, record = find_instance(port)
    before = after = workers(instance)
    ask("POST", "workers/restart", record["control"])

    def is_done() -> bool:
        nonlocal after
        after = workers(instance)
        return _are_new(serving(after), before)

    wait_until(is_done, timeout, "RESTART_TIMEOUT", "not all workers are new")
    if as_json:
        print_json("restart", {"workers": sorted(after)})
    else:
        say(f"replaced {len(serving(before))} workers; {len(serving(after))} serve")


def _are_new(now: dict[int, str], before: dict[int, str]) -> bool:
    """Say whether the old workers take no more clients, and the new ones serve.

    How many those are may have been changed meanwhile.
    """
    return bool(now) and now.keys().isdisjoint(before) and set(now.values()) == {"ready"}
