"""`benchmark`: load of our own making, on our own machine."""

import json
from collections.abc import Callable
from typing import Any

import click

from only1mcp.cli.gateway import endpoint
from only1mcp.cli.keys import key_option, read_key
from only1mcp.cli.output import (
    PROBLEMS,
    UNREACHABLE,
    USAGE,
    Command,
    Failure,
    json_option,
    port_option,
    print_json,
    say,
    url_option,
)

_INTERRUPTED = 130


_POSITIVE = click.FloatRange(min=0, min_open=True)
_CONNECTIONS = click.IntRange(1, 60_000)


def _option(name: str, help_text: str, **more: Any) -> Callable[[Command], Command]:
    return click.option(*name.split(), help=help_text, show_default=True, **more)


@click.command("benchmark")
@click.argument("target", required=False, metavar="[URL]")
@url_option
@port_option
@_option("--tool", "Tool to call; without one the list of tools is asked for.")
@_option(
    "--args arguments",
    "Its arguments. {nonce} within a text, or the text {number}, becomes another word or number in "
    "each call, and must come back in the answer.",
    default="{}", metavar="JSON",
)  # fmt: skip
@_option("--rate", "Calls a second.", type=_POSITIVE, default=1000.0)
@_option("--duration duration_s", "Seconds for which calls are sent.", type=_POSITIVE, default=10.0)
@_option("--connections", "Connections from the beginning.", type=_CONNECTIONS, default=32)
@_option("--max-connections", "Connections when all are busy.", type=_CONNECTIONS, default=1024)
@_option(
    "--timeout timeout_s", "Seconds after which a call has failed.", type=_POSITIVE, default=10.0
)
@_option("--era", "Era to speak.", type=click.Choice(["modern", "legacy"]), default="modern")
@_option("--processes", "Processes that send.", type=click.IntRange(1, 64), default=1)
@key_option
@json_option
def benchmark_command(
    target: str | None, url: str | None, port: int | None, key_file: str | None, processes: int,
    as_json: bool, **sending: Any,
) -> None:  # fmt: skip
    """Send calls at a fixed rate to a gateway on this machine, and show how long they take.

    The rate is kept whatever the answers do, and each latency counts from the moment at which the
    call was due. Every answer is checked. Ctrl-C ends it with what was measured so far. Exits with
    6 if a call failed.
    """
    from only1mcp.benchmark.measure import measure
    from only1mcp.benchmark.plan import CannotMeasure, Plan, find_target
    from only1mcp.cli.benchmark_report import plain_report, print_report

    _check(sending["arguments"])
    plan = Plan(endpoint(target or url, port), key=read_key(key_file), **sending)
    try:
        find_target(plan.url)
        say(f"{plan.rate:g} calls/s for {plan.duration_s:g} s to {plan.url}. Ctrl-C ends it.")
        report = measure(plan, processes)
    except CannotMeasure as error:
        raise Failure(error.code, str(error), error.hint, exit_code=_EXIT[error.code]) from None
    if as_json:
        print_json("benchmark", plain_report(plan, report))
    else:
        print_report(plan, report)
    if report.interrupted:
        raise SystemExit(_INTERRUPTED)
    if report.failures:
        raise SystemExit(PROBLEMS)


def _check(arguments: str) -> None:
    try:
        parsed = json.loads(arguments)
    except ValueError as error:
        raise _bad_args(f"--args is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise _bad_args("--args must be a JSON object")


def _bad_args(message: str) -> Failure:
    hint = """write --args '{"a": "{number}", "b": 1}'"""
    return Failure("BAD_ARGS", message, hint, exit_code=USAGE)


_EXIT = {"BAD_URL": USAGE, "NOT_LOCAL": USAGE, "UNREACHABLE": UNREACHABLE,
         "CALL_FAILED": PROBLEMS, "REFUSED": PROBLEMS}  # fmt: skip
