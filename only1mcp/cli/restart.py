"""`restart`."""

import time

import click

from only1mcp.cli.admin import ask
from only1mcp.cli.gateway import control_get, find_instance
from only1mcp.cli.output import UNEXPECTED, Failure, json_option, port_option, print_json, say

_POLL_S = 0.05


@click.command("restart")
@port_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait.")
@json_option
def restart_command(port: int | None, timeout: float, as_json: bool) -> None:
    """Replace the workers, one after the other; no request is lost.

    Each new one serves before the one in its place finishes what it has and ends.
    """
    _, record = find_instance(port)
    before = _workers(record["control"])
    ask("POST", "workers/restart", record["control"])
    deadline = time.monotonic() + timeout
    while not _is_done(before, record["control"]):
        if time.monotonic() > deadline:
            raise Failure(
                "RESTART_TIMEOUT", f"not all workers are new after {timeout:g} s",
                "see only1mcp status and the log", exit_code=UNEXPECTED,
            )  # fmt: skip
        time.sleep(_POLL_S)
    after = _workers(record["control"])
    if as_json:
        print_json("restart", {"workers": sorted(after)})
    else:
        say(f"replaced {len(_serving(before))} workers; {len(_serving(after))} serve")


def _workers(socket_path: str) -> dict[int, str]:
    """Return the states of the workers by their pids."""
    rows = control_get("status", socket_path)["processes"]
    return {row["pid"]: row["state"] for row in rows if row["role"] == "worker"}


def _is_done(before: dict[int, str], socket_path: str) -> bool:
    """Say whether the old workers take no more clients, and the new ones serve.

    How many those are may have been changed meanwhile.
    """
    now = _serving(_workers(socket_path))
    return bool(now) and now.keys().isdisjoint(before) and set(now.values()) == {"ready"}


def _serving(workers: dict[int, str]) -> dict[int, str]:
    """Return those that are not on their way out."""
    return {pid: state for pid, state in workers.items() if state != "draining"}
