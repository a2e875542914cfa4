"""The servers that are declared and not served: nothing of them is checked or compiled."""

from collections.abc import Iterator

from only1mcp.config.schema import ClientServerSection, ConfigFile, ServerSection
from only1mcp.protocol.names import server_id


def disabled_servers(config: ConfigFile) -> Iterator[tuple[str, str]]:
    """Yield the id and the transport of each, in order."""
    for section in config.servers:
        if not section.enabled:
            yield section.id, _transport(section, section.transport)
    for label, entry in config.mcp_servers.items():
        if is_disabled(entry):
            yield server_id(label) or label, _transport(entry, (entry.type or "").lower())


def is_disabled(entry: ClientServerSection) -> bool:
    """Say whether an entry of a client's own map is off, in either way in which clients say it."""
    return entry.disabled or not entry.enabled


def _transport(declared: ServerSection | ClientServerSection, said: str | None) -> str:
    if declared.command:
        return "stdio"
    if (declared.url or "").startswith("ws"):
        return "websocket"
    return "sse" if said == "sse" else "http"
