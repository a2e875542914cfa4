"""`init`, `validate` and `config`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import click
import yaml

from only1mcp.cli.output import (
    CONFLICT,
    Failure,
    config_option,
    json_option,
    print_json,
    say,
)
from only1mcp.cli.settings import find_file, invalid, missing, need_settings
from only1mcp.config import templates
from only1mcp.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from only1mcp.config.schema import ConfigFile

_REDACTED = "**********"
"""As pydantic writes secrets."""


@click.command("init")
@click.argument("template", type=click.Choice(templates.NAMES), default="solo")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a new file.")
def init_command(template: str, output: str | None) -> None:
    """Print a configuration to begin with."""
    text = templates.read(template)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(
            "EXISTS", f"{output} exists", "choose another name", exit_code=CONFLICT
        ) from None
    except OSError as error:
        raise Failure("CANNOT_WRITE", f"{output} cannot be written: {error.strerror}") from None
    say(f"wrote {output}; start with: only1mcp start --config {output}")


@click.command("validate")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@config_option
@json_option
def validate_command(file: str | None, config_path: str | None, as_json: bool) -> None:
    """Check a configuration and say all that is wrong with it."""
    settings = need_settings(file or config_path)
    if as_json:
        data = {"valid": True, "file": settings.source, "servers": len(settings.servers),
                "disabled": len(settings.disabled)}  # fmt: skip
        print_json("validation", data)
    else:
        count = len(settings.servers)
        off = f", {len(settings.disabled)} disabled" if settings.disabled else ""
        click.echo(f"{settings.source}: valid, {count} server{'' if count == 1 else 's'}{off}")


@click.group("config")
def config_command() -> None:
    """Show the configuration in use, or its JSON Schema."""


@config_command.command("show")
@config_option
@json_option
def show_config(config_path: str | None, as_json: bool) -> None:
    """Show the configuration with all defaults, substitutions and overrides; secrets hidden."""
    from only1mcp.config.loader import load_file

    path = find_file(config_path)
    if path is None:
        raise missing()
    try:
        shown = redacted(load_file(path))
    except ConfigInvalid as error:
        raise invalid(error) from None
    if as_json:
        print_json("config", shown)
    else:
        click.echo(yaml.safe_dump(shown, sort_keys=False), nl=False)


def redacted(config: "ConfigFile") -> dict[str, Any]:
    """Return a configuration as it could stand in a file, without what may be secret."""
    plain: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    for key in plain["auth"]["keys"]:
        if "hash" in key:
            key["hash"] = _REDACTED
    for server in (*plain["servers"], *plain["mcpServers"].values()):
        for place in (server, *server.get("instances", ())):
            if "url" in place:
                place["url"] = _without_secrets(place["url"])
    return plain


def _without_secrets(url: str) -> str:
    """Hide the two places of an address where people put keys: before the host, and the query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"{_REDACTED}@{host}" if at else parts.netloc
    query = "&".join(f"{name}={_REDACTED}" for name, _ in parse_qsl(parts.query))
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


@config_command.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from only1mcp.config.json_schema import write_schema

    click.echo(write_schema(), nl=False)
