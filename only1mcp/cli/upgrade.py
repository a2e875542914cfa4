"""`upgrade`."""

import time
from typing import Any

import click

from only1mcp.cli.admin import ask
from only1mcp.cli.fleet import record_of
from only1mcp.cli.gateway import find_instance
from only1mcp.cli.output import UNEXPECTED, Failure, json_option, port_option, print_json, say
from only1mcp.links.runtime_dir import RuntimeDir

_POLL_S = 0.05


@click.command("upgrade")
@port_option
@click.option("--timeout", default=120.0, show_default=True, help="Seconds to wait.")
@json_option
def upgrade_command(port: int | None, timeout: float, as_json: bool) -> None:
    """Have the program that is installed now take the place of the one that runs.

    Install it first, where the old one was. No request is lost; if the new program does not come
    to serve, the old one goes on and this says why. Who asks while that is under way is refused.
    """
    instance, before = find_instance(port)
    last = instance.read_upgrade()
    ask("POST", "upgrade", before["control"])
    after = _wait(instance, before, last, timeout)
    if as_json:
        print_json("upgrade", {"before": before, "after": after})
        return
    say(
        f"{after['version']} (pid {after['pid']}) serves on port {after['port']};"
        f" {before['version']} (pid {before['pid']}) finishes what it has"
    )


def _wait(
    instance: RuntimeDir, before: dict[str, Any], last: dict[str, Any] | None, timeout: float
) -> dict[str, Any]:
    """Wait until another program is found there; returns what it says of itself."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        record, outcome = record_of(instance), instance.read_upgrade()
        if record["pid"] != before["pid"]:
            return record
        if outcome is not None and outcome != last and not outcome["ok"]:
            raise Failure("UPGRADE_FAILED", outcome["message"], "the old program goes on")
        time.sleep(_POLL_S)
    raise Failure(
        "UPGRADE_TIMEOUT", f"no new program serves after {timeout:g} s",
        "see the log and only1mcp status", exit_code=UNEXPECTED,
    )  # fmt: skip
