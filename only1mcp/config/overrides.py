"""Settings from the environment: `ONLY1MCP_PROXY__PORT=9000` stands above `proxy.port`."""

from collections.abc import Mapping
from typing import Any

from only1mcp.config.problems import NOWHERE, Problem

PREFIX = "ONLY1MCP_"
_SHORT = {
    "ONLY1MCP_WORKERS": ("proxy", "workers"),
    "ONLY1MCP_PORT": ("proxy", "port"),
    "ONLY1MCP_HOST": ("proxy", "host"),
    "ONLY1MCP_LOG_LEVEL": ("log", "level"),
}


def override_paths(environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Return which path each variable overrides: path to variable."""
    found: dict[tuple[str, ...], str] = {
        tuple(part.lower() for part in name.removeprefix(PREFIX).split("__")): name
        for name in environment
        if name.startswith(PREFIX) and "__" in name
    }
    short: dict[tuple[str, ...], str] = {
        path: name for name, path in _SHORT.items() if name in environment
    }
    return {**found, **short}


def apply_overrides(data: dict[str, Any], environment: Mapping[str, str]) -> list[Problem]:
    """Write the variables' values over the data; lists are written with commas."""
    problems = []
    for path, name in override_paths(environment).items():
        at: Any = data
        for part in path[:-1]:
            at = at.setdefault(part, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            what = "there is no such key"
            problems.append(Problem(name, NOWHERE, ".".join(path), what, "unset the variable"))
            continue
        value = environment[name]
        listed = path[-1] in ("allowed_hosts", "allowed_origins", "allowed_commands")
        at[path[-1]] = [part.strip() for part in value.split(",")] if listed else value
    return problems
