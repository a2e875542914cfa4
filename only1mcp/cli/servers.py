"""`add`, `remove`, `enable` and `disable`: the configuration file is changed, comments are kept.

A gateway that runs on the file makes the change itself, in its own environment, and takes it over.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from only1mcp.cli.admin import ask, exit_of
from only1mcp.cli.gateway import control_get, control_send
from only1mcp.cli.output import (
    USAGE,
    Failure,
    config_option,
    json_option,
    print_json,
    say,
)
from only1mcp.cli.settings import find_file, invalid, missing
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import EditRefused
from only1mcp.links.runtime_dir import running


@dataclass(frozen=True, slots=True)
class _Change:
    """One change, as it is asked of a gateway and as it is made without one."""

    done: str
    """What to say once it is made."""
    name: str
    request: tuple[str, str, Any]
    """Method, path and body."""
    act: Callable[[str, str], str]


@click.command("add")
@click.argument("name")
@click.argument("target")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-t", "--transport", type=click.Choice(["stdio", "http", "sse", "websocket"]),
    help="Told by the target when left out.",
)  # fmt: skip
@click.option("-e", "--env", multiple=True, metavar="K=V", help="Environment of the program.")
@click.option("-H", "--header", multiple=True, metavar="N:V", help="Sent with every request.")
@config_option
@json_option
def add_command(
    name: str, target: str, config_path: str | None, as_json: bool, **options: Any
) -> None:
    """Add a server: a program with its arguments, after --, or an address.

    \b
    only1mcp add files -- npx -y @modelcontextprotocol/server-filesystem /data
    only1mcp add search http://127.0.0.1:9000/mcp -H "Authorization: Bearer ${TOKEN}"
    """  # noqa: D301 - click wants the sign itself
    entry = {"id": name, **(_address if "://" in target else _program)(target, **options)}
    change = _Change("added", name, ("POST", "servers", entry), partial(_act, "add_server", entry))
    _make(change, config_path, as_json)


def _address(
    url: str, args: tuple[str, ...], transport: str | None, env: tuple[str, ...],
    header: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    if args or env or transport == "stdio":
        raise _wrong("an address takes neither arguments nor --env, and is not stdio")
    entry: dict[str, Any] = {"url": url}
    if transport in ("sse", "websocket"):
        entry["transport"] = transport
    if header:
        entry["headers"] = dict(_pair(text, ":", "--header") for text in header)
    return entry


def _program(
    command: str, args: tuple[str, ...], transport: str | None, env: tuple[str, ...],
    header: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    if header or transport not in (None, "stdio"):
        raise _wrong(f"{command!r} is a program: it takes no --header, and is stdio")
    entry: dict[str, Any] = {"command": command}
    if args:
        entry["args"] = list(args)
    if env:
        entry["env"] = dict(_pair(text, "=", "--env") for text in env)
    return entry


@click.command("remove")
@click.argument("name")
@config_option
@json_option
def remove_command(name: str, config_path: str | None, as_json: bool) -> None:
    """Remove a server from the configuration; its calls under way are answered."""
    request = ("DELETE", f"servers/{quote(name, safe='')}", None)
    _make(
        _Change("removed", name, request, partial(_act, "remove_server", name)),
        config_path, as_json,
    )  # fmt: skip


@click.command("enable")
@click.argument("name")
@config_option
@json_option
def enable_command(name: str, config_path: str | None, as_json: bool) -> None:
    """Serve a server again that was disabled."""
    _switch(name, config_path, as_json, enabled=True)


@click.command("disable")
@click.argument("name")
@config_option
@json_option
def disable_command(name: str, config_path: str | None, as_json: bool) -> None:
    """Keep a server in the configuration, and serve it no more."""
    _switch(name, config_path, as_json, enabled=False)


def _switch(name: str, config_path: str | None, as_json: bool, *, enabled: bool) -> None:
    word = "enable" if enabled else "disable"
    request = ("POST", f"servers/{quote(name, safe='')}/{word}", None)
    act = partial(_act, "switch_server", name, enabled=enabled)
    _make(_Change(f"{word}d", name, request, act), config_path, as_json)


def _act(what: str, server: Any, file: str, text: str, **how: bool) -> str:
    """Change the text of a file."""
    from only1mcp.config import edit

    change: Callable[..., str] = getattr(edit, what)
    return change(file, text, server, **how)


def _wrong(message: str) -> Failure:
    return Failure("USAGE", message, "see only1mcp add --help", exit_code=USAGE)


def _pair(text: str, sign: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name:
        raise _wrong(f"{option} {text!r} is not NAME{sign}VALUE")
    return name.strip(), value.strip()


def _make(change: _Change, config_path: str | None, as_json: bool) -> None:
    """Have the gateway that runs on the file change it, or change it here."""
    path = find_file(config_path)
    if path is None:
        raise missing()
    sockets = _gateways_on(path)
    if sockets:
        method, where, body = change.request
        ask(method, where, sockets[0], body)
        for other in sockets[1:]:
            control_send("POST", "reload", other)
    else:
        _change_here(path, change.act)
    if as_json:
        said = {"id": change.name, "change": change.done, "file": str(path), "live": bool(sockets)}
        print_json("change", said)
    else:
        effect = "in force" if sockets else "no gateway runs on it"
        say(f"{change.done} {change.name} in {path}; {effect}")


def _gateways_on(path: Path) -> list[str]:
    """Return the control sockets of the gateways that run on a file."""
    found = []
    for instance in running():
        record = instance.read_record() or {}
        try:
            config = control_get("status", record["control"])["config"]
        except (Failure, KeyError):
            continue
        if config is not None and Path(config).resolve() == path.resolve():
            found.append(str(record["control"]))
    return found


def _change_here(path: Path, act: Callable[[str, str], str]) -> None:
    from only1mcp.config.store import change_file

    try:
        change_file(path, act, os.environ)
    except ConfigInvalid as error:
        raise invalid(error) from None
    except EditRefused as error:
        code = exit_of(error.code)
        raise Failure(error.code, str(error), error.hint, exit_code=code) from None
    except OSError as error:
        raise Failure("CANNOT_WRITE", f"{path} cannot be changed: {error}") from None
