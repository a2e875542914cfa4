"""Changes of the configuration file: comments are kept.

A gateway that runs on the file makes the change itself, in its own environment, and takes it over.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from only1mcp.cli.admin import ask, exit_of
from only1mcp.cli.fleet import record_of
from only1mcp.cli.gateway import control_get, control_send
from only1mcp.cli.output import Failure
from only1mcp.cli.settings import find_file, invalid, missing
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.refusals import EditRefused
from only1mcp.links.runtime_dir import RuntimeDir, running


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as it is asked of a gateway and as it is made without one."""

    request: tuple[str, str, Any]
    """Method, path and body."""
    what: str
    """The function of `only1mcp.config.edit` that makes it."""
    subject: Any
    """Its first argument after the file."""
    how: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A change that was made."""

    path: Path
    gateways: list[RuntimeDir]
    """Those in which it is in force."""
    answer: Any
    """What the first of them has said; None without one."""

    @property
    def effect(self) -> str:
        """Where the change is to be seen, for people."""
        return f"{self.path}; {'in force' if self.gateways else 'no gateway runs on it'}"


def make(change: Change, config_path: str | None) -> Made:
    """Have the gateway that runs on the file change it, or change it here.

    Raises:
        Failure: it was not changed.
    """
    path = find_file(config_path)
    if path is None:
        raise _missing()
    gateways = _gateways_on(path)
    answer = None
    if gateways:
        method, where, body = change.request
        answer = ask(method, where, record_of(gateways[0])["control"], body)
        for other in gateways[1:]:
            control_send("POST", "reload", record_of(other)["control"])
    else:
        _change_here(path, change)
    return Made(path, gateways, answer)


def _missing() -> Failure:
    """Return the failure of a change that names no file, where none is found either.

    None is guessed at, not even the only one in use: a change of it must have been meant.
    """
    used = [str(config) for config, _ in _in_use()]
    failure = missing()
    if used:
        failure.hint = f"gateways run on {', '.join(used)}: name the file with --config"
    return failure


def _gateways_on(path: Path) -> list[RuntimeDir]:
    """Return the gateways that run on a file."""
    return [instance for config, instance in _in_use() if config.resolve() == path.resolve()]


def _in_use() -> list[tuple[Path, RuntimeDir]]:
    """Return the running gateways that have a file, each after that."""
    found = []
    for instance in running():
        record = instance.read_record() or {}
        try:
            config = control_get("status", record["control"])["config"]
        except (Failure, KeyError):
            continue
        if config is not None:
            found.append((Path(config), instance))
    return found


def _change_here(path: Path, change: Change) -> None:
    from only1mcp.config import edit
    from only1mcp.config.store import change_file

    function: Callable[..., str] = getattr(edit, change.what)

    def act(file: str, text: str) -> str:
        return function(file, text, change.subject, **change.how)

    try:
        change_file(path, act, os.environ)
    except ConfigInvalid as error:
        raise invalid(error) from None
    except EditRefused as error:
        code = exit_of(error.code)
        raise Failure(error.code, str(error), error.hint, exit_code=code) from None
    except OSError as error:
        raise Failure("CANNOT_WRITE", f"{path} cannot be changed: {error}") from None
