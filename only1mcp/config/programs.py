"""Which program a server's command means."""

import os
import sys

from only1mcp.config.schema import ServerSection

_PYTHONS = frozenset({"python", "python3"})
_BUNDLED = ["-m", "only1mcp.demo"]


def named(section: ServerSection) -> str:
    """Return the command as it is looked for in the allow-list."""
    return os.path.expanduser(section.command or "")  # noqa: PTH111 - may be a bare name


def program_of(section: ServerSection) -> str:
    """Return the program to start.

    The bundled servers are run by the Python that runs us: only it is sure to have them, and the
    one in PATH is another for whoever starts us by our whole path.
    """
    if section.command in _PYTHONS and section.args[:2] == _BUNDLED:
        return sys.executable
    return named(section)
