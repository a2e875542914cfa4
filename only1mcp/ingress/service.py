"""What the doors lead to."""

from typing import Protocol

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Exchange, Request


class McpService(Protocol):
    """Answers the messages of MCP clients."""

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one MCP message."""

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a legacy session, or resume one."""

    def end_session(self, request: Request) -> None:
        """End the legacy session that the request names."""


class Service(McpService, Protocol):
    """Answers besides what is asked about the gateway itself."""

    def health(self) -> tuple[int, bytes]:
        """Return the status and JSON body of /health."""

    def ready(self) -> bool:
        """Say whether requests can be served."""

    def metrics(self) -> bytes:
        """Return the exposition of all metrics."""

    async def admin(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """Return status and JSON body of what the admin API answers."""
