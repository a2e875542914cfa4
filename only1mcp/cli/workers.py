"""`workers`."""

import click

from only1mcp.cli.change import Change, make
from only1mcp.cli.fleet import serving, wait_until, workers
from only1mcp.cli.output import (
    USAGE,
    Failure,
    config_option,
    json_option,
    print_json,
    say,
)
from only1mcp.links.runtime_dir import RuntimeDir


def _count(value: str) -> int | str:
    is_number = value.isascii() and value.removeprefix("-").isdecimal()
    if value.startswith("-") and not is_number:
        raise click.NoSuchOption(value)
    if value != "auto" and not is_number:
        hint = "see: only1mcp workers --help"
        raise Failure("USAGE", f"{value!r} is neither a number nor auto", hint, exit_code=USAGE)
    return value if value == "auto" else int(value)


@click.command("workers", context_settings={"ignore_unknown_options": True})
@click.argument("number")
@config_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for them.")
@json_option
def workers_command(number: str, config_path: str | None, timeout: float, as_json: bool) -> None:
    """Serve with another NUMBER of workers, or with auto; no request is lost.

    The configuration file is changed, and a gateway that runs on it at once.
    """
    wish = _count(number)
    made = make(Change(("POST", "workers", {"workers": wish}), "set_workers", wish), config_path)
    if made.gateways:
        _wait(made.gateways[0], made.answer["workers"], timeout)
    if as_json:
        said = {"workers": wish, "file": str(made.path), "live": bool(made.gateways)}
        print_json("workers", said)
    else:
        say(f"workers: {wish} in {made.effect}")


def _wait(instance: RuntimeDir, count: int, timeout_s: float) -> None:
    """Wait until so many serve, and those that are too many take no more clients."""

    def is_done() -> bool:
        return sorted(serving(workers(instance)).values()) == ["ready"] * count

    wait_until(is_done, timeout_s, "WORKERS_TIMEOUT", f"there are not {count} workers")
