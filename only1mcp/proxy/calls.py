"""Calls, each from its route to a kept answer, an equal call that is under way, or a server."""

from collections.abc import Callable
from functools import partial

from only1mcp.backends.call import Cancel
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.input_required import Retry, read_retry
from only1mcp.protocol.methods import Kind
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import success
from only1mcp.proxy.cache import Ticket
from only1mcp.proxy.call import Call
from only1mcp.proxy.conversation import Outlet
from only1mcp.proxy.flights import Flights, Follower, Make
from only1mcp.proxy.inbox import Inbox
from only1mcp.proxy.journey import Journey
from only1mcp.proxy.notices import asked_level
from only1mcp.proxy.outbound import check_headers, choose_leg, client_features
from only1mcp.proxy.parking import gone
from only1mcp.proxy.parts import Parts
from only1mcp.proxy.replay import Replays
from only1mcp.proxy.states import PREFIX, STATE
from only1mcp.proxy.task_list import TaskList
from only1mcp.proxy.task_routing import route_task, runs_as_task
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route, route
from only1mcp.sessions.session import Session


class Calls:
    """Takes the requests that servers answer."""

    def __init__(self, parts: Parts, inbox: Inbox, replays: Replays) -> None:
        self._parts = parts
        self._inbox = inbox
        self._replays = replays
        self.flights = None if parts.cache is None else Flights(parts.cache)
        """Calls that others may join; None where no answers are kept."""

    def take(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
        """Answer from what is kept, continue what waits, or call a server."""
        scope = journey.request.principal.grant
        snapshot = self._parts.edition.view(client_features(inbound, session), scope)
        way = self._way(inbound, session, snapshot)
        if journey.request.channel is None:
            check_headers(inbound, way, journey.request.params)
        retry = _retry(inbound)
        if retry is not None and retry.state is not None:
            if not retry.state.startswith(PREFIX):
                return self._continue(journey, inbound, retry)
            states = self._parts.means.states
            inbound, server_id = states.returned(inbound, retry.state, way.server_ids)
            if choose_leg(inbound.era, server_id, snapshot) is Era.LEGACY:
                raise gone()
            way = self._way(inbound, session, snapshot)
            way.server_ids = (server_id,)
        cache, who = self._parts.cache if retry is None else None, journey.request.principal
        ticket = None if cache is None else cache.ticket(inbound, session, way, snapshot, who)
        kept = None if cache is None or ticket is None else cache.find(ticket)
        if kept is not None:
            return journey.give(way.server_ids[0], success(inbound.envelope.id or b"null", kept))
        return self._begin(journey, inbound, session, way, snapshot, ticket)

    def _begin(
        self, journey: Journey, inbound: Inbound, session: Session | None, way: Route,
        snapshot: Snapshot, ticket: Ticket | None,
    ) -> Cancel:  # fmt: skip
        """Call a server, or wait for an equal call that is under way."""
        level = asked_level(inbound) if session is None else None
        if session is not None:
            level = self._parts.marks.level(session.serial)
            journey.exchange = self._replays.wrap(session, journey.request, journey.exchange)
            self._inbox.register(session.serial, journey)

        def make(outlet: Outlet) -> Call:
            call = Call(inbound, session, way, snapshot, self._parts.means, outlet, level)
            call.spent_s = journey.request.spent_s
            return call

        def alone() -> Cancel:
            journey.call = call = make(journey)
            call.start()
            return journey.abandon

        if ticket is None or self.flights is None:
            alone()
        else:
            timeout_s = self._parts.means.timeouts_s[way.server_ids[0]]
            self._fly(self.flights, journey, ticket, make, alone, timeout_s)
        return self._replays.keeper(journey.exchange, journey.abandon)

    def _fly(
        self, flights: Flights, journey: Journey, ticket: Ticket, make: Make,
        alone: Callable[[], Cancel], timeout_s: float,
    ) -> None:  # fmt: skip
        """Join an equal call, or make the one that others join; all within one time."""
        request, clock = journey.request, self._parts.clock.monotonic
        began = clock() - request.spent_s

        def fly() -> Cancel:
            request.spent_s = clock() - began
            left_s = max(timeout_s - request.spent_s, 0.0)
            go_alone, again = (partial(journey.safely, act) for act in (alone, fly))
            if not flights.join(ticket, journey, Follower(go_alone, again, timeout_s, left_s)):
                flights.lead(ticket, journey, make)
            return journey.abandon

        fly()

    def _way(self, inbound: Inbound, session: Session | None, snapshot: Snapshot) -> Route:
        assert inbound.method is not None
        if inbound.method.kind is Kind.TASK:
            return route_task(inbound, session, snapshot, self._parts.means.task_ids)
        way = route(inbound, snapshot)
        way.own = runs_as_task(inbound, session, way, snapshot)
        return way

    def _continue(self, journey: Journey, inbound: Inbound, retry: Retry) -> Cancel:
        """Let a parked call go on, in the worker where it waits."""
        parking, peers = self._parts.means.parking, self._parts.peers
        ticket = parking.read(retry.state or "")
        if ticket.address != peers.address:
            if journey.request.forwarded:
                raise gone()
            return peers.forward(
                ticket.address, journey.request, journey.exchange, lambda: journey.drop(gone())
            )
        call = parking.claim(ticket, inbound)
        journey.call = call
        call.resume(inbound, journey, retry.responses)
        return journey.abandon

    def list_tasks(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
        """Ask all servers for the tasks of a legacy session."""
        request_id = inbound.envelope.id
        assert session is not None
        assert request_id is not None

        def answer(page: bytes) -> None:
            journey.finish(success(request_id, page))

        scope = journey.request.principal.grant
        snapshot = self._parts.edition.view(session.features, scope)
        tasks = TaskList(inbound, session, snapshot, self._parts.means, answer)
        journey.on_end = tasks.stop
        tasks.start()
        return journey.abandon


def _retry(inbound: Inbound) -> Retry | None:
    """Return what a modern request brings that is sent again; keys may be written with escapes."""
    envelope = inbound.envelope
    body: bytes = envelope.body
    if inbound.era is not Era.MODERN or (STATE.encode() not in body and b"\\u" not in body):
        return None
    return read_retry(body[envelope.params_start : envelope.params_end])
