"""Equal calls that come while one of them is under way wait for its answer.

The first is the leader: messages that come before the answer are for it alone. Who leaves, leaves
the others with the call; the last one ends it. An answer that is for one client only, because it
wants something of it, sends the others off to call for themselves. The leader may be in the fast
lane; those that join are never.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from only1mcp._speedups import REQUEST, Envelope, scan
from only1mcp.errors import BackendTimeout, Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.proxy.cache import ResponseCache, Ticket, is_complete
from only1mcp.proxy.conversation import Outlet
from only1mcp.proxy.exchange import Answer
from only1mcp.proxy.journey import Journey


class Called(Protocol):
    """The call to the server; `only1mcp.proxy.call.Call` is the one."""

    reply: Envelope | None
    """What the server has answered, once it has."""

    @property
    def server_id(self) -> str:
        """The server that is being asked."""

    def start(self) -> None:
        """Send the call."""

    def abandon(self) -> None:
        """Stop: nobody waits any more."""


class Leader(Protocol):
    """Whose request made the call."""

    def message(self, message: bytes) -> None:
        """Take a message that comes before the answer."""

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """Take what became of the call."""


class Carrier(Called, Leader, Protocol):
    """Both in one: a call that the fast lane carries, and its client there."""


Make = Callable[[Outlet], Called]


@dataclass(slots=True)
class Follower:
    """One that waits for the answer to another's call."""

    alone: Callable[[], object]
    """Has it call for itself."""
    again: Callable[[], object]
    """Has it join another equal call, or make the one that others join."""
    timeout_s: float
    """How long an answer may take."""
    left_s: float
    """How much of that is left."""
    timer: asyncio.TimerHandle | None = None

    def stop_time(self) -> None:
        """Let it wait no longer."""
        if self.timer is not None:
            self.timer.cancel()


class Flights:
    """The calls of one worker that others may join."""

    def __init__(self, cache: ResponseCache) -> None:
        self.cache = cache
        self.under_way: dict[bytes, Flight] = {}
        """By the keys of their answers; the fast lane looks into it."""

    def carry(self, ticket: Ticket, carrier: Carrier) -> "Flight":
        """Take note of a call that the fast lane makes: it tells the flight how that ends."""
        flight = self.under_way[ticket.own] = Flight(self, ticket, carrier)
        flight.call = carrier
        self.cache.missed(ticket)
        return flight

    def lead(self, ticket: Ticket, journey: Journey, make: Make) -> None:
        """Begin a call."""
        flight = self.under_way[ticket.own] = Flight(self, ticket, journey)
        if journey.cache is None:
            self.cache.missed(ticket)
        journey.cache = "miss"
        try:
            flight.begin(journey, make)
        except BaseException:
            self.forget(flight)
            raise

    def join(self, ticket: Ticket, journey: Journey, follower: Follower) -> bool:
        """Wait for the answer to an equal call; False when none is under way.

        What has changed since that was sent, its answer may not know of.
        """
        flight = self.under_way.get(ticket.own)
        if flight is None or flight.ticket.stamp != ticket.stamp:
            return False
        if journey.cache is None:
            self.cache.joined(ticket)
        journey.cache = "joined"
        flight.join(journey, follower)
        return True

    def forget(self, flight: "Flight") -> None:
        """Let nobody join any more."""
        if self.under_way.get(flight.ticket.own) is flight:
            del self.under_way[flight.ticket.own]


class Flight:
    """Implements `only1mcp.proxy.conversation.Outlet` for the call."""

    def __init__(self, flights: Flights, ticket: Ticket, leader: Leader) -> None:
        self.ticket = ticket
        self.call: Called | None = None
        self._flights = flights
        self._leader: Leader | None = leader
        self._followers: dict[Journey, Follower] = {}
        self._told = False
        """Whether messages came before the answer."""
        self._asked = False
        """Whether the leader's client was asked something."""

    @property
    def server_id(self) -> str:
        """The server that is being asked."""
        return self.ticket.kind.shelf.server.id

    def begin(self, journey: Journey, make: Make) -> None:
        """Send the call."""
        journey.call = Berth(self, journey)
        self.call = make(self)
        self.call.start()

    def join(self, journey: Journey, follower: Follower) -> None:
        """Have one more wait for the answer, no longer than a call of its own would take."""
        loop = asyncio.get_running_loop()
        follower.timer = loop.call_later(follower.left_s, self._late, journey, follower.timeout_s)
        self._followers[journey] = follower
        journey.call = Berth(self, journey)

    def leave(self, journey: Journey) -> None:
        """Let go of one that does not wait any more."""
        follower = self._followers.pop(journey, None)
        if follower is not None:
            follower.stop_time()
        if journey is self._leader:
            self._leader = None
        if self._leader is None and not self._followers and self.call is not None:
            self._flights.forget(self)
            self.call.abandon()

    def outlives(self) -> bool:
        """Let go of the leader; False when nobody else waits, and the call is to end with it."""
        self._leader = None
        if not self._followers:
            self.disband()
        return self.call is not None

    def disband(self) -> list[Callable[[], object]]:
        """Let go of all: the call does not end here. Returns what has the others try again."""
        self._flights.forget(self)
        followers, self._followers = list(self._followers.values()), {}
        self._leader = self.call = None
        for follower in followers:
            follower.stop_time()
        return [follower.again for follower in followers]

    def _late(self, journey: Journey, timeout_s: float) -> None:
        self.leave(journey)
        journey.fail(BackendTimeout(
            f"server {self.server_id} did not answer an equal call within {timeout_s:g} s"
        ))  # fmt: skip

    def message(self, message: bytes) -> None:
        """Pass a message on to the leader."""
        self._told = True
        self._asked = self._asked or scan(message).kind == REQUEST
        if self._leader is not None:
            self._leader.message(message)

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """Give everybody the answer."""
        self._flights.forget(self)
        call, leader, followers = self.call, self._leader, self._followers
        self._leader, self._followers, self.call = None, {}, None
        reply = call.reply if call is not None else None
        is_shared = not self._asked and (status != "ok" or is_complete(reply))
        may_keep = is_shared and status == "ok" and not self._told
        if may_keep and reply is not None and isinstance(outcome, Answer):
            self._flights.cache.keep(self.ticket, reply, outcome)
        if leader is not None:
            leader.end(outcome, status)
        for journey, follower in followers.items():
            follower.stop_time()
            if is_shared:
                journey.end(_for(journey, outcome), status)
            else:
                journey.cache = "miss"
                follower.alone()


class Berth:
    """One request's place in a flight: what it waits for."""

    def __init__(self, flight: Flight, journey: Journey) -> None:
        self._flight = flight
        self._journey = journey

    @property
    def server_id(self) -> str:
        """The server that is being asked."""
        return self._flight.server_id

    def abandon(self) -> None:
        """Wait no longer."""
        self._flight.leave(self._journey)


def _for(journey: Journey, outcome: Answer | Only1MCPError) -> Answer | Only1MCPError:
    """Return an outcome under the id of another request."""
    if isinstance(outcome, Only1MCPError):
        return outcome
    message = scan(outcome.body)
    assert journey.envelope is not None
    request_id = journey.envelope.id or b"null"
    if message.result_end:
        raw = message.body[message.result_start : message.result_end]
        return Answer(outcome.status, jsonrpc.result(request_id, raw), headers=outcome.headers)
    raw = message.body[message.error_start : message.error_end]
    return Answer(outcome.status, jsonrpc.error(request_id, raw), headers=outcome.headers)
