"""Calls of modern clients that wait, between two of the client's requests, for what they asked.

The client carries a ticket (`requestState`), sealed so that it can neither be read nor altered. It
names the worker where the call waits, and binds it to one request: its method, target and
arguments (2026-07-28, basic/patterns/mrtr, Request state).
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass

import orjson

from only1mcp._speedups import members
from only1mcp.errors import InvalidParams, Overloaded
from only1mcp.protocol.inbound import Inbound
from only1mcp.proxy.conversation import Conversation
from only1mcp.proxy.sealed import Seal

PREFIX = "o1m."
PATIENCE_S = 600.0
"""How long a client may take for its next request."""
MAX_PARKED = 1000
_PURPOSE = b"only1mcp request state"
_NOT_PART = frozenset({"inputResponses", "requestState", "_meta"})
_HINT = "call again without requestState"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a `requestState` of ours says."""

    address: str
    """The worker where the call waits."""
    number: int
    digest: str


class Parking:
    """The parked calls of one worker, and the tickets of all."""

    def __init__(self, address: str, key: bytes) -> None:
        self._address = address
        self._sealer = Seal(key, _PURPOSE, PREFIX)
        self._parked: dict[int, tuple[Conversation, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, call: Conversation) -> str:
        """Keep a call until its client comes back; returns the ticket.

        Raises:
            Overloaded: too many calls wait already.
        """
        if len(self._parked) >= MAX_PARKED:
            raise Overloaded("too many calls wait for their clients")
        number = int.from_bytes(os.urandom(8))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._expire, number)
        self._parked[number] = (call, timer)
        return self._seal(Ticket(self._address, number, digest(call.inbound)))

    def read(self, state: str) -> Ticket:
        """Open a ticket.

        Raises:
            InvalidParams: it is not ours, or was altered.
        """
        try:
            return Ticket(*orjson.loads(self._sealer.open(state)))
        except ValueError as error:
            raise InvalidParams("params.requestState is not valid", hint=_HINT) from error

    def claim(self, ticket: Ticket, inbound: Inbound) -> Conversation:
        """Return the call that a request continues, and keep it no longer.

        Raises:
            InvalidParams: there is none (any more), or the request is another one.
        """
        if ticket.digest != digest(inbound):
            raise InvalidParams("params.requestState belongs to another request", hint=_HINT)
        entry = self._parked.pop(ticket.number, None)
        if entry is None:
            raise gone()
        call, timer = entry
        timer.cancel()
        return call

    def _expire(self, number: int) -> None:
        """Give up a call whose client did not come back."""
        self._parked.pop(number)[0].abandon()

    def _seal(self, ticket: Ticket) -> str:
        return self._sealer.seal(orjson.dumps([ticket.address, ticket.number, ticket.digest]))


def gone() -> InvalidParams:
    """Say that a ticket's call has ended."""
    return InvalidParams("the call that this continues has ended", hint=_HINT)


def digest(inbound: Inbound) -> str:
    """Return what stays the same from one request of a call to the next, as a fingerprint."""
    envelope = inbound.envelope
    body: bytes = envelope.body
    found = hashlib.sha256(f"{inbound.principal} {envelope.method or ''}".encode())
    if envelope.params_end:
        for key, start, end in sorted(members(body, envelope.params_start)):
            if key not in _NOT_PART:
                found.update(b"\0%b\0" % key.encode("utf-8", "surrogatepass") + body[start:end])
    return found.hexdigest()
