"""The levels of log messages, from RFC 5424 (server/utilities/logging)."""

from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields

LEVELS: tuple[str, ...] = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
"""From the least severe to the most severe; MCP writes them in lower case."""
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
"""Where a modern request names the level from which on it wants messages."""
_SEVERITIES = {level: severity for severity, level in enumerate(LEVELS)}


def severity(level: str) -> int | None:
    """Return the place of a level in `LEVELS`; None for what is no level."""
    return _SEVERITIES.get(level)


def level_of(message_params: bytes) -> int:
    """Return the severity of a `notifications/message`.

    One without a level that we know counts as the most severe, so that no filter loses it.
    """
    level = as_string(fields(message_params).get("level", b""))
    return _SEVERITIES.get(level or "", len(LEVELS) - 1)
