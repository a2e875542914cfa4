"""`add`, `remove`, `enable` and `disable`."""

from typing import Any
from urllib.parse import quote

import click

from only1mcp.cli.change import Change, make
from only1mcp.cli.output import USAGE, Failure, config_option, json_option, print_json, say


def _refuse_url(ctx: click.Context, param: click.Parameter, url: str | None) -> None:
    """Say how an address is given, to those who know it from files and from other programs."""
    del param
    if url is not None:
        message = f"there is no --url: the address stands alone, as in: only1mcp add NAME {url}"
        raise click.UsageError(message, ctx)


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
@click.option("--url", hidden=True, expose_value=False, callback=_refuse_url)
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
    change = Change(("POST", "servers", entry), "add_server", entry)
    _make("added", name, change, config_path, as_json)


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
    change = Change(("DELETE", f"servers/{quote(name, safe='')}", None), "remove_server", name)
    _make("removed", name, change, config_path, as_json)


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
    change = Change(request, "switch_server", name, {"enabled": enabled})
    _make(f"{word}d", name, change, config_path, as_json)


def _make(done: str, name: str, change: Change, config_path: str | None, as_json: bool) -> None:
    """Make a change, and say that it was made."""
    made = make(change, config_path)
    if as_json:
        said = {"id": name, "change": done, "file": str(made.path), "live": bool(made.gateways)}
        print_json("change", said)
    else:
        say(f"{done} {name} in {made.effect}")


def _wrong(message: str) -> Failure:
    return Failure("USAGE", message, "see only1mcp add --help", exit_code=USAGE)


def _pair(text: str, sign: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name:
        raise _wrong(f"{option} {text!r} is not NAME{sign}VALUE")
    return name.strip(), value.strip()
