"""Calls of the fast lane whose answers may be kept, as others see them that wait for the same.

Those others are on the common way (`only1mcp.proxy.flights`): the lane tells how its call ends, and
whether its client has left them with it.
"""

from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.errors import Only1MCPError
from only1mcp.proxy.cache import Ticket
from only1mcp.proxy.cache_keys import ANYBODY, asks_for_more, is_plain
from only1mcp.proxy.exchange import Answer
from only1mcp.proxy.flights import Flight


class Carried:
    """Implements `only1mcp.proxy.flights.Carrier`; the lane itself speaks to its client."""

    def __init__(self, lane: Any, call: Any) -> None:
        self._lane = lane
        self._call = call
        self.reply: Envelope | None = None

    @property
    def server_id(self) -> str:
        """The server that is being asked."""
        server_id: str = self._call.plan.about[2]
        return server_id

    def start(self) -> None:
        """Do nothing: the lane sends its call."""

    def abandon(self) -> None:
        """Stop: nobody waits any more."""
        self._lane.abandon(self._call)

    def message(self, message: bytes) -> None:
        """Do nothing: its client has it."""

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """Do nothing: likewise."""


def lead(lane: Any, call: Any, missed: tuple[Any, bytes]) -> Flight | None:
    """Take note of a call that is about to be sent; None when its answer may not be kept.

    Args:
        lane: carries it.
        call: is the first of its kind.
        missed: what stands for such calls, and the key of the answer that was not there.
    """
    keeping, key = missed
    envelope = call.envelope
    if asks_for_more(envelope):
        return None
    kind, public, is_harmless = keeping.kind, None, False
    if keeping.is_shared:
        public, is_harmless = keeping.key(envelope, ANYBODY), is_plain(envelope)
    stamp = keeping.store.stamp(*kind.words)
    ticket = Ticket(kind, key, public, is_harmless, stamp, call.began)
    flight: Flight = keeping.flights.carry(ticket, Carried(lane, call))
    return flight


def landed(call: Any, reply: Envelope) -> None:
    """Take a result that the lane has given to its client as it came."""
    land(call, Answer(200, reply.body), "ok", reply)


def land(
    call: Any, outcome: Answer | Only1MCPError, status: str, reply: Envelope | None = None
) -> None:
    """Take the end of a call.

    Args:
        call: one that others may have joined.
        outcome: what its client gets.
        status: its metric status.
        reply: what the server said, if it is a result.
    """
    flight: Flight = call.flight
    if flight.call is not None:
        flight.call.reply = reply
    flight.end(outcome, status)
