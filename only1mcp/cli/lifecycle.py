"""`start` and `stop`."""

import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import click

from only1mcp.cli.banner import announce
from only1mcp.cli.gateway import find_instance
from only1mcp.cli.keys import KEY_VARIABLE, key_option, read_key
from only1mcp.cli.output import (
    UNEXPECTED,
    USAGE,
    Failure,
    config_option,
    json_option,
    port_option,
    print_json,
    say,
)
from only1mcp.cli.settings import invalid, missing
from only1mcp.config.discovery import find
from only1mcp.config.isolated import load_isolated
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.settings import Settings
from only1mcp.config.sight import look
from only1mcp.process.context import Shared, Source
from only1mcp.supervisor.handover import Handover, HandoverRefused

_POLL_S = 0.05
_FEWEST_FILES = 200
"""Less is used up by what the processes of a gateway share, or leaves no room for clients."""
_VARIABLES = {
    "workers": "ONLY1MCP_WORKERS", "host": "ONLY1MCP_HOST", "port": "ONLY1MCP_PORT",
    "log_level": "ONLY1MCP_LOG_LEVEL", "log_format": "ONLY1MCP_LOG__FORMAT",
}  # fmt: skip


@click.command("start")
@config_option
@click.option("--workers", help="Worker processes, or auto.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 picks a free one.")
@click.option("--demo", is_flag=True, help="Run the bundled servers, whatever is configured.")
@click.option("--no-demo", is_flag=True, help="Fail when there is no configuration.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]))
@click.option("--stdio", is_flag=True, help="Speak MCP on stdin and stdout, and end with stdin.")
@key_option
@click.option(
    "--allow-unauthenticated", is_flag=True,
    help="Listen beyond loopback although nobody has to authenticate.",
)  # fmt: skip
def start_command(
    config_path: str | None, demo: bool, no_demo: bool, stdio: bool, key_file: str | None,
    **options: str | int | bool | None,
) -> None:  # fmt: skip
    """Run the gateway in the foreground.

    Without a configuration it runs a demonstration with bundled servers. With --stdio it serves the
    client that started it, on a port of its own unless --port is given.
    """
    _check_files()
    handover = _handover()
    if demo and no_demo:
        raise click.UsageError("--demo and --no-demo exclude each other")
    if stdio and options["port"] is None:
        options["port"] = 0
    key = read_key(key_file) if stdio else None
    environment = _environment(options)
    path = None if demo else _config_path(config_path, environment)
    if path is None and not demo and (no_demo or os.environ.get("ONLY1MCP_DEMO") == "0"):
        raise missing()
    source = Source(path, environment, seen=None if path is None else look(path))
    settings = _load(path, environment, options)
    if not stdio:
        raise SystemExit(_run(settings, source, announce, handover))
    from only1mcp.cli.stdio import serve

    if settings.keys and key is None:
        raise Failure(
            "NO_KEY", "the configuration asks for a key", f"set {KEY_VARIABLE}, or --key-file",
            exit_code=USAGE,
        )  # fmt: skip

    def run(on_ready: Callable[[Shared], int]) -> int:
        return _run(settings, source, on_ready, is_private=True)

    raise SystemExit(serve(run, key))


def _check_files() -> None:
    """Refuse to start where we may open too few files to come up."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _FEWEST_FILES:
        raise Failure(
            "FEW_FILES", f"a gateway cannot run with {files} open files",
            f"raise the limit, to {_FEWEST_FILES} at least: ulimit -n 1024, or LimitNOFILE=",
        )  # fmt: skip


def _handover() -> Handover | None:
    """Return what another gateway leaves us, whose place we are to take."""
    try:
        return Handover.take(os.environ)
    except HandoverRefused as error:
        raise Failure("HANDOVER", str(error)) from None


def _environment(options: Mapping[str, str | int | bool | None]) -> dict[str, str]:
    """Write the options over the environment, so that one set of checks serves both."""
    given = {_VARIABLES[key]: str(options[key]) for key in _given(options)}
    if options["allow_unauthenticated"]:
        given["ONLY1MCP_PROXY__ALLOW_UNAUTHENTICATED"] = "true"
    return {**os.environ, **given}


def _given(options: Mapping[str, str | int | bool | None]) -> list[str]:
    return [key for key in _VARIABLES if options[key] is not None]


def _config_path(config_path: str | None, environment: Mapping[str, str]) -> Path | None:
    return Path(config_path) if config_path is not None else find(environment)


def _load(
    path: Path | None, environment: Mapping[str, str],
    options: Mapping[str, str | int | bool | None],
) -> Settings:  # fmt: skip
    try:
        return load_isolated(path, environment)
    except ConfigInvalid as error:
        names = {_VARIABLES[key]: f"--{key.replace('_', '-')}" for key in _given(options)}
        problems = [
            replace(problem, file=names.get(problem.file, problem.file))
            for problem in error.problems
        ]
        raise invalid(ConfigInvalid(problems)) from None


def _run(
    settings: Settings, source: Source, on_ready: Callable[[Shared], int],
    handover: Handover | None = None, *, is_private: bool = False,
) -> int:  # fmt: skip
    """Become the supervisor; returns the exit code."""
    from only1mcp.cli.place import take_place
    from only1mcp.observability.logs import setup_logging
    from only1mcp.supervisor.supervisor import Supervisor

    setup_logging(settings.log_level, settings.log_format, "supervisor")
    is_passing = settings.port == 0  # hardly anybody will be on that port again
    holdings = take_place(settings, handover, with_demo=source.path is None, is_private=is_private)
    finish = _finisher(holdings.demo)
    settings = finish(replace(settings, port=holdings.port))
    source = replace(source, finish=finish)
    supervisor = Supervisor(settings, holdings, source, on_ready)
    code = supervisor.run()
    if is_passing and not supervisor.has_handed_over:
        holdings.runtime_dir.remove()
    return code


def _finisher(demo: socket.socket | None) -> Callable[[Settings], Settings]:
    """Return what adds the servers of the demonstration, if that is what runs."""
    if demo is None:
        return lambda settings: settings
    from only1mcp.demo.settings import with_demo

    port = demo.getsockname()[1]
    return lambda settings: with_demo(settings, port)


@click.command("stop")
@port_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the end.")
@json_option
def stop_command(port: int | None, timeout: float, as_json: bool) -> None:
    """Stop a running gateway: requests under way are finished, servers ended properly."""
    instance, record = find_instance(port)
    pid = int(record["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while instance.read_record() is not None:
        if time.monotonic() > deadline:
            raise Failure(
                "STOP_TIMEOUT", f"the gateway (pid {pid}) still runs after {timeout:g} s",
                f"end it at once, with all of its processes: kill -KILL {pid}",
                exit_code=UNEXPECTED,
            )  # fmt: skip
        time.sleep(_POLL_S)
    if as_json:
        print_json("stopped", {"pid": pid, "port": record["port"]})
    else:
        say(f"stopped the gateway on port {record['port']} (pid {pid})")
