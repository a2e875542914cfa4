"""Loading the configuration for a command."""

import os
from pathlib import Path

from only1mcp.cli.output import INVALID, Failure, say
from only1mcp.config.isolated import load_isolated
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.settings import Settings


def invalid(error: ConfigInvalid, note: str = "") -> Failure:
    """Return the failure that shows all problems, and says what else is to be known."""
    count = len(error.problems)
    message = f"{count} problem{'s' if count > 1 else ''} in the configuration"
    return _Invalid(error, f"{message}; {note}" if note else message)


class _Invalid(Failure):
    """Shows every problem on a line of its own."""

    def __init__(self, error: ConfigInvalid, message: str) -> None:
        problems = [problem.to_plain() for problem in error.problems]
        first = problems[0]
        super().__init__(
            "CONFIG_INVALID", message, "only1mcp config schema describes all keys",
            exit_code=INVALID,
            data={"problems": problems, "file": first["file"], "line": first["line"],
                  "column": first["column"]},
        )  # fmt: skip
        self._problems = error.problems

    def show(self, file: object = None) -> None:
        """Print the problems, then the summary."""
        del file
        if not self.as_json:
            for problem in self._problems:
                say(str(problem))
        super().show()


def find_file(path: str | None) -> Path | None:
    """Return the named or the first found configuration file; None when there is none."""
    from only1mcp.config.discovery import find

    return Path(path) if path is not None else find(os.environ)


def find_settings(path: str | None) -> Settings | None:
    """Load the named or the first found configuration; None when there is none.

    Raises:
        Failure: it is not valid.
    """
    found = find_file(path)
    if found is None:
        return None
    try:
        return load_isolated(found, os.environ)
    except ConfigInvalid as error:
        raise invalid(error) from None


def missing() -> Failure:
    """Return the failure of a command that needs a configuration."""
    return Failure(
        "NO_CONFIG", "no configuration was found", "write one: only1mcp init > only1mcp.yaml",
        exit_code=INVALID,
    )  # fmt: skip


def need_settings(path: str | None) -> Settings:
    """Load the configuration.

    Raises:
        Failure: there is none, or it is not valid.
    """
    settings = find_settings(path)
    if settings is None:
        raise missing()
    return settings
