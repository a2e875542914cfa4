"""One request of a client and the place where its answer goes. Ingress implements `Exchange`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from only1mcp.auth.principal import ANYONE, Principal
from only1mcp.protocol.headers import McpHeaders


@dataclass(slots=True)
class Request:
    """What ingress read: headers that matter, and the whole body."""

    headers: McpHeaders
    body: bytes
    client: str
    """The peer's address, for logs."""
    params: Mapping[str, list[str]] = field(default_factory=dict)
    """The `mcp-param-*` headers, names in lower case."""
    last_event_id: str | None = None
    """What a legacy client saw last of the stream that it resumes."""
    forwarded: bool = False
    """Whether another worker has passed it on; it is not passed on again."""
    channel: str | None = None
    """The two-way channel that it came on, if it was one: there are no headers then to compare with
    the body, and nobody comes back for what a broken connection lost."""
    principal: Principal = ANYONE
    """Who sent it; the pipeline lets nobody pass whom the doors should not have let in."""
    is_charged: bool = False
    """Whether its sender's rate was charged for it already."""
    of_batch: bool = False
    """Whether it is a member of a batch."""
    spent_s: float = 0.0
    """How much of its time is over: in the fast lane, from where it was sent again, or waiting for
    an equal call."""
    cache: str | None = None
    """How the cache had part in it so far, as `only1mcp.proxy.journey.Outcome` has it."""


@dataclass(slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    session_id: str | None = None
    """Set in answer to `initialize`."""
    headers: tuple[tuple[str, str], ...] = ()
    """HTTP headers besides the usual ones."""
    members: tuple[bytes, ...] = ()
    """The messages in the body, if it is an array of some: on a stream each is an event."""


class Exchange(Protocol):
    """Where an answer goes. Messages may come before it; they turn the answer into a stream."""

    def open(self) -> None:
        """Begin the stream now, before there is anything to say."""

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Send a message on the stream; an empty one carries only its event id."""

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Send the answer, and end; used once."""

    def end(self) -> None:
        """End a stream that has no answer."""
