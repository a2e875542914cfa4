"""What the parts of a call know of it, and what it knows of the request that it answers."""

from collections.abc import Mapping
from typing import Protocol

from only1mcp.backends.call import Outgoing
from only1mcp.errors import Only1MCPError
from only1mcp.protocol.inbound import Inbound
from only1mcp.proxy.exchange import Answer


class Outlet(Protocol):
    """The client's request that the call has to answer now."""

    def message(self, message: bytes) -> None:
        """Send a message before the answer."""

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """Take the answer or the failure, and the metric status."""


class Conversation(Protocol):
    """A call in which client and server talk; `only1mcp.proxy.call.Call` is the one."""

    @property
    def inbound(self) -> Inbound:
        """The client's newest request."""

    @property
    def server_id(self) -> str:
        """The server that is being asked."""

    @property
    def is_paused(self) -> bool:
        """Whether no request of the client is there to answer."""

    def say(self, message: bytes) -> None:
        """Send the client a message, if it listens now."""

    def keep_time(self) -> None:
        """Give the server its time, from now on."""

    def stop_time(self) -> None:
        """Wait for the client instead."""

    def send(self, request: Outgoing) -> None:
        """Send one request to the server."""

    def pause(self, answer: Answer) -> None:
        """Answer the client's request for now; the call itself goes on."""

    def resume(self, inbound: Inbound, outlet: Outlet, responses: Mapping[str, bytes]) -> None:
        """Go on with the client's next request."""

    def on_failure(self, error: Only1MCPError) -> None:
        """End with a failure."""

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """End with an answer or a failure."""

    def abandon(self) -> None:
        """Stop: the client has gone."""
