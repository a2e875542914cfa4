"""What the host knows of a connection to a legacy server that serves one client at a time."""

from collections.abc import Callable
from typing import Protocol

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink, ask
from only1mcp.backends.handshake import Hello
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature

Tell = Callable[[Envelope], None]
NO_TASKS = jsonrpc.result(b"0", b'{"tasks":[]}')
"""What a session's server lists that has none of its tasks."""


def untold(message: Envelope) -> None:
    """Let pass what a server says to a connection that is no session's."""


def unturned() -> None:
    """Let pass that a connection is another now: nothing asked of it before has to last."""


class Member(Protocol):
    """One connection."""

    features: Feature
    ended: bool
    tell: Tell
    """Takes notifications that belong to no call."""
    turned: Callable[[], None]
    """Called when the server has forgotten what it was asked before: its session or process is
    another one, or the connection has ended."""

    @property
    def pid(self) -> int:
        """Its process; 0 when it has none of ours."""

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""

    async def hello(self) -> Hello:
        """Return what the server said when we met."""

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request."""

    def notify(self, method: str) -> None:
        """Send a notification."""

    def keep_questions(self) -> None:
        """Let questions wait for the next call: all are one client's, for good."""

    def follow_client(self, stream: ReplySink | None) -> None:
        """Put questions of no call on the client's own stream from now on, while it has one."""

    async def stop(self) -> None:
        """End the connection."""


class MemberAsker:
    """Asks in our own name on the connection of a client."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response; who waits no more abandons it."""
        return await ask(self._member.call, outgoing)
