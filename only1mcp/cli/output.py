"""What commands print, and how they fail. Data goes to stdout, all else to stderr."""

import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

import click

OK, UNEXPECTED, USAGE, NOT_FOUND = 0, 1, 2, 3
UNREACHABLE, INVALID, PROBLEMS, CONFLICT = 4, 5, 6, 7
Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
config_option = click.option(
    "-c", "--config", "config_path", type=click.Path(dir_okay=False), help="Configuration file."
)
url_option = click.option("--url", help="The gateway's MCP endpoint.")
port_option = click.option("--port", type=int, help="Port of the gateway, if several run.")


class Failure(click.ClickException):
    """A command that cannot do what it was asked; says why, what to do, and how to exit."""

    def __init__(
        self, code: str, message: str, hint: str = "", *, exit_code: int = UNEXPECTED,
        data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        # When click shows a failure the command's context, with its options, is gone already.
        context = click.get_current_context(silent=True)
        self.as_json = context is not None and bool(context.params.get("as_json"))
        """Whether the command was asked for JSON."""
        self.code = code
        self.hint = hint
        self.exit_code = exit_code  # type: ignore[misc]
        self.data = data or {}

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the failure as the command was asked to print."""
        if self.as_json:
            error = {"code": self.code, "message": self.message, "hint": self.hint, **self.data}
            click.echo(json.dumps({"error": error}))
            return
        click.echo(f"error: {self.message}", err=True, file=file)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True, file=file)


def write_wholly() -> None:
    """Have stdout write all that it is given, also where `PYTHONUNBUFFERED` is set.

    A write to a full pipe ends early when a signal comes, or work of io_uring, which uvloop uses;
    without a buffer Python drops the rest and says nothing.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        buffer = io.BufferedWriter(sys.stdout.detach())
        sys.stdout = io.TextIOWrapper(buffer, encoding, errors, line_buffering=True)


def print_json(kind: str, data: Any) -> None:
    """Print data in its envelope."""
    click.echo(json.dumps({"schema": f"only1mcp.dev/v1/{kind}", "data": data}))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def say(text: str) -> None:
    """Tell a person something that is not data, at once: other processes write lines there too."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
