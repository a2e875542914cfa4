"""Where a configuration is looked for."""

import os
from collections.abc import Mapping
from pathlib import Path


def search_paths(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the places, in order."""
    config_home = environment.get("XDG_CONFIG_HOME")
    home = Path(environment.get("HOME") or "/")
    local = [Path(f"only1mcp.{ending}") for ending in ("yaml", "yml", "toml", "json")]
    return [
        *local,
        home / ".only1mcp/config.yaml",
        (Path(config_home) if config_home else home / ".config") / "only1mcp/config.yaml",
        Path("/etc/only1mcp/config.yaml"),
    ]


def find(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration to use when none was named; None when there is none."""
    named = environment.get("ONLY1MCP_CONFIG")
    if named:
        return Path(named)
    return next((path for path in search_paths(environment) if _is_meant(path)), None)


def _is_meant(path: Path) -> bool:
    """Say whether somebody put a configuration there; what is no file is refused by who reads.

    So is a link to nothing: a disk may not be there yet.
    """
    return (path.exists() and not path.is_dir()) or path.is_symlink()
