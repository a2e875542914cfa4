"""Which program a server's command means."""

import sys
from pathlib import Path

import pytest

from only1mcp.config.programs import program_of
from only1mcp.config.schema import ServerSection


@pytest.mark.parametrize("command", ["python", "python3"])
def test_bundled_servers_run_on_the_python_that_runs_us(command: str) -> None:
    """The one in PATH may know nothing of us; other programs and modules are its own affair."""
    bundled = ["-m", "only1mcp.demo", "time"]
    assert program_of(ServerSection(id="a", command=command, args=bundled)) == sys.executable
    assert program_of(ServerSection(id="a", command=command, args=["-m", "mine"])) == command
    assert program_of(ServerSection(id="a", command="uvx", args=bundled)) == "uvx"


def test_a_program_below_home_is_found_there() -> None:
    """No shell expands it."""
    home = str(Path("~/bin/serve").expanduser())
    assert program_of(ServerSection(id="a", command="~/bin/serve")) == home
