"""`keys`: keys for those who use the gateway, and the key that a command itself sends."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from only1mcp.cli.output import USAGE, Failure, json_option, print_json, say

KEY_VARIABLE = "ONLY1MCP_KEY"
_PREFIX = "o1_"
_BYTES = 32


@click.group("keys")
def keys_command() -> None:
    """Make keys for those who use the gateway."""


@keys_command.command("new")
@click.argument("owner", required=False, default="me", metavar="[ID]")
@json_option
def new_key(owner: str, as_json: bool) -> None:
    """Make a key and print it, this one time; the configuration gets its hash.

    Data on standard output: the key. How to configure it goes to standard error.
    """
    key = _PREFIX + secrets.token_urlsafe(_BYTES)
    digest = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    if as_json:
        print_json("key", {"id": owner, "key": key, "hash": digest})
        return
    click.echo(key)
    say(
        f"Keep it, nobody can show it again. Clients send: Authorization: Bearer <the key>\n"
        f"The configuration gets:\n\n"
        f'auth:\n  keys:\n    - id: {owner}\n      hash: "{digest}"\n'
    )


def key_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command read the key that it sends from a file; command lines are no place for it."""
    option = click.option(
        "--key-file", type=click.Path(dir_okay=False),
        help=f"File with the key for the gateway; ${KEY_VARIABLE} when left out.",
    )  # fmt: skip
    return option(command)


def read_key(path: str | None) -> str | None:
    """Return the key to send; None when there is none.

    Raises:
        Failure: the file cannot be read, or holds no key.
    """
    if path is None:
        found = os.environ.get(KEY_VARIABLE, "").strip()
    else:
        try:
            found = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(f"{path} cannot be read: {error}") from None
        if not found:
            raise _bad(f"{path} is empty")
    if any(not "!" <= sign <= "~" for sign in found):
        raise _bad(f"{path or f'${KEY_VARIABLE}'} holds no key")
    return found or None


def _bad(message: str) -> Failure:
    return Failure("BAD_KEY", message, "make one: only1mcp keys new", exit_code=USAGE)
