"""Configurations as text → settings, or the list of what is wrong."""

from collections.abc import Mapping

from only1mcp.config.loader import load_text
from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.settings import Settings


def settings_of(
    text: str, file: str = "c.yaml", environment: Mapping[str, str] | None = None
) -> Settings:
    """Load a valid configuration."""
    return load_text(file, text, environment or {})


def problems_of(
    text: str, file: str = "c.yaml", environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return every problem as a person reads it; none when the configuration is valid."""
    try:
        load_text(file, text, environment or {})
    except ConfigInvalid as error:
        return [str(problem) for problem in error.problems]
    return []
