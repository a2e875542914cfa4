"""The suite's scenarios for clients, those about authorization left out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientScenario:
    """One scenario at one revision."""

    name: str
    version: str
    may_be_skipped: frozenset[str] = frozenset()
    """Checks of what a client need not do at all."""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


_LEGACY, _MODERN = "2025-11-25", "2026-07-28"
_HANDSHAKE = frozenset(
    {"ClientMcpMethodHeader_initialize", "ClientMcpMethodHeader_notifications_initialized"}
)
"""Of no use to a client that has discovered a modern server."""
_CAPABILITIES = frozenset(
    {
        "ClientDeclaresRootsCapability",
        "ClientDeclaresSamplingCapability",
        "ClientDeclaresElicitationCapability",
    }
)
"""The suite's server offers nothing to call: all requests are the gateway's own, who has none."""

CLIENT_SCENARIOS = [
    ClientScenario("initialize", _LEGACY),
    ClientScenario("tools_call", _LEGACY),
    ClientScenario("elicitation-sep1034-client-defaults", _LEGACY),
    ClientScenario("sse-retry", _LEGACY),
    ClientScenario("json-schema-2020-12-preservation", _LEGACY),
    ClientScenario("tools_call", _MODERN),
    ClientScenario("request-metadata", _MODERN, _CAPABILITIES),
    ClientScenario("sep-2322-client-request-state", _MODERN),
    ClientScenario("http-standard-headers", _MODERN, _HANDSHAKE),
    ClientScenario("http-custom-headers", _MODERN),
    ClientScenario("http-invalid-tool-headers", _MODERN),
    ClientScenario("json-schema-ref-no-deref", _MODERN),
    ClientScenario("json-schema-2020-12-preservation", _MODERN),
]
