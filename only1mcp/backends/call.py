"""What is sent to a backend, and who hears of its end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from only1mcp._speedups import Envelope
from only1mcp.errors import Only1MCPError
from only1mcp.protocol.versions import Era

Cancel = Callable[[], None]


@dataclass(slots=True)
class Outgoing:
    """One request to a backend."""

    method: str
    params: bytes
    """A JSON object in the form of `era`, or empty."""
    era: Era
    target: str | None = None
    """The backend's own name of the target, for the Mcp-Name header."""
    safe: bool = False
    """Whether it may be sent again when nobody knows if it ran."""


class ReplySink(Protocol):
    """Hears of a call's end, exactly once; not at all after it was cancelled."""

    def on_reply(self, reply: Envelope) -> None:
        """Take the backend's response, be it a result or an error."""

    def on_failure(self, error: Only1MCPError) -> None:
        """Learn that there will be no response."""


class Backend(Protocol):
    """One server as a worker reaches it."""

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; the returned function abandons it."""

    async def close(self) -> None:
        """End what is open towards the server."""


class FutureSink:
    """Lets a coroutine wait for a call."""

    def __init__(self) -> None:
        self._future: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()

    def on_reply(self, reply: Envelope) -> None:
        """Wake the waiter with the response."""
        if not self._future.done():
            self._future.set_result(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Wake the waiter with the failure."""
        if not self._future.done():
            self._future.set_exception(error)

    async def wait(self, timeout_s: float) -> Envelope:
        """Return the response.

        Raises:
            TimeoutError: none came in time.
            Only1MCPError: the call failed.
        """
        return await asyncio.wait_for(self._future, timeout_s)
