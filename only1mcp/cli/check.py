"""`test` and `doctor`."""

import asyncio
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from only1mcp._speedups import ACCEL
from only1mcp.cli.output import (
    CONFLICT,
    NOT_FOUND,
    PROBLEMS,
    Failure,
    config_option,
    json_option,
    print_json,
    print_table,
)
from only1mcp.cli.settings import find_settings, need_settings
from only1mcp.config.settings import Settings
from only1mcp.links.runtime_dir import base_dir, check_shared, running
from only1mcp.registry.server import Server

_MIN_FILES = 4096


@click.command("test")
@click.argument("server", required=False)
@config_option
@json_option
def test_command(server: str | None, config_path: str | None, as_json: bool) -> None:
    """Start each server alone, or the one named, and see what it offers."""
    from only1mcp.host.trial import try_server
    from only1mcp.observability.logs import setup_logging

    settings = need_settings(config_path)
    # The table is what is asked for; what servers say at their start, some at length, is not.
    level = "debug" if settings.log_level == "debug" else "warning"
    setup_logging(level, settings.log_format, "test")
    chosen = _chosen(settings, server)

    async def try_all() -> list[Any]:
        return await asyncio.gather(*(try_server(item) for item in chosen))

    trials = asyncio.run(try_all())
    if as_json:
        print_json("trials", [_plain(trial) for trial in trials])
    else:
        rows = [tuple(_plain(trial).values()) for trial in trials]
        print_table(tuple(key.upper() for key in _plain(trials[0])), rows)
    if any(trial.problem for trial in trials):
        raise SystemExit(PROBLEMS)


def _chosen(settings: Settings, name: str | None) -> list[Server]:
    """Return the servers to try.

    Raises:
        Failure: there is none, or the one that is named is disabled.
    """
    disabled = [one for one, _ in settings.disabled if name in (None, one)]
    chosen = [one for one in settings.servers if name in (None, one.id)]
    if chosen:
        return chosen
    if disabled:
        message = f"disabled: {', '.join(disabled)}"
        hint = f"enable it first: only1mcp enable {disabled[0]}"
        raise Failure("DISABLED", message, hint, exit_code=CONFLICT)
    if not settings.servers:
        raise Failure("NO_SERVER", "no server is declared", "add one", exit_code=NOT_FOUND)
    known = ", ".join(one.id for one in settings.servers)
    raise Failure("NO_SERVER", f"no server {name!r}", f"known: {known}", exit_code=NOT_FOUND)


def _plain(trial: Any) -> dict[str, Any]:
    catalogue = trial.catalogue
    return {
        "server": trial.server.id,
        "result": "failed" if trial.problem else "ok",
        "era": "+".join(sorted(era.value for era in catalogue.eras)) if catalogue else "-",
        "tools": len(catalogue.tools) if catalogue else 0,
        "resources": len(catalogue.resources) if catalogue else 0,
        "prompts": len(catalogue.prompts) if catalogue else 0,
        "meet_ms": round(trial.meet_ms),
        "list_ms": round(trial.list_ms),
        "problem": trial.problem,
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor looked at."""

    check: str
    verdict: str
    """`ok`, `warn` or `fail`."""
    detail: str
    hint: str = ""


@click.command("doctor")
@config_option
@json_option
def doctor_command(config_path: str | None, as_json: bool) -> None:
    """Look for what keeps the gateway from working."""
    findings = [*_examine_machine(), *_examine_config(config_path)]
    if as_json:
        print_json("doctor", [asdict(finding) for finding in findings])
    else:
        rows = [
            (f.verdict, f.check, f.detail + (f". {f.hint}" if f.hint else "")) for f in findings
        ]
        print_table(("", "CHECK", "DETAIL"), rows)
    if any(finding.verdict == "fail" for finding in findings):
        raise SystemExit(PROBLEMS)


def _examine_machine() -> Iterator[Finding]:
    python = platform.python_version()
    new = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if new else "fail", python, "" if new else "use 3.11 or newer")
    fast = ACCEL == "cython"
    hint = "" if fast else "install a C compiler and reinstall for speed"
    yield Finding("speedups", "ok" if fast else "warn", ACCEL, hint)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # workers raise theirs to the most
    many = files >= _MIN_FILES
    yield Finding("open files", "ok" if many else "warn", str(files), "" if many else "ulimit -Hn")
    yield _examine_runtime_dir()
    instances = [instance.path.name for instance in running()]
    yield Finding("running", "ok", f"on port {', '.join(instances)}" if instances else "none")


def _examine_runtime_dir() -> Finding:
    path = base_dir()
    try:
        check_shared(path)
    except FileNotFoundError:
        return Finding("runtime directory", "ok", f"{path} will be made")
    except OSError as error:
        hint = "set ONLY1MCP_RUNTIME_DIR to a directory of yours"
        return Finding("runtime directory", "fail", str(error), hint)
    return Finding("runtime directory", "ok", str(path))


def _examine_config(config_path: str | None) -> Iterator[Finding]:
    try:
        settings = find_settings(config_path)
    except Failure as failure:
        problems = failure.data.get("problems", [])
        first = problems[0]["what"] if problems else failure.message
        yield Finding("configuration", "fail", first, "only1mcp validate shows all")
        return
    if settings is None:
        yield Finding("configuration", "warn", "none found", "only1mcp init > only1mcp.yaml")
        return
    yield Finding("configuration", "ok", settings.source)
    yield from _examine_servers(settings)


def _examine_servers(settings: Settings) -> Iterator[Finding]:
    for server in settings.servers:
        if server.transport != "stdio":
            continue
        found = shutil.which(server.command)
        hint = "" if found else f"install {server.command}, or correct the PATH"
        yield Finding(
            f"server {server.id}", "ok" if found else "fail", found or server.command, hint
        )
