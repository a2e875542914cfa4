"""One request of a client and the place where its answer goes. Ingress implements `Exchange`."""

from dataclasses import dataclass
from typing import Protocol

from only1mcp.protocol.headers import McpHeaders


@dataclass(slots=True)
class Request:
    """What ingress read: headers that matter, and the whole body."""

    headers: McpHeaders
    body: bytes
    client: str
    """The peer's address, for logs."""


@dataclass(slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    session_id: str | None = None
    """Set in answer to `initialize`."""


class Exchange(Protocol):
    """Where an answer goes; it is used once."""

    def answer(self, answer: Answer) -> None:
        """Send the answer."""
