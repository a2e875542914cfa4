"""The way of one message: recognise → admit → route → backend → answer, on one screen.

Ingress calls `Pipeline.handle` with a whole message; everything on the way is a plain call, and the
answer comes back through the exchange. A feature that has no line here is not on the request path.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from only1mcp._speedups import BATCH, scan
from only1mcp.auth.access import Access
from only1mcp.backends.call import NOTHING, Cancel
from only1mcp.errors import (
    InvalidRequest,
    MethodNotFound,
    Only1MCPError,
    SessionMissing,
    SessionNotFound,
    UnknownTarget,
)
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.protocol.input_required import Retry, read_retry
from only1mcp.protocol.methods import Kind
from only1mcp.protocol.versions import LEGACY_VERSIONS, MODERN_VERSIONS, Era
from only1mcp.proxy import local
from only1mcp.proxy.answer import success
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.batch import HINT, MAX_MEMBERS, Batches, check_member
from only1mcp.proxy.cache import ResponseCache, Ticket
from only1mcp.proxy.call import Call, Means
from only1mcp.proxy.conversation import Outlet
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.proxy.flights import Flights, Follower, Make
from only1mcp.proxy.inbox import Inbox
from only1mcp.proxy.journey import Journey, Outcome
from only1mcp.proxy.later import Later
from only1mcp.proxy.learning import LEGACY, Learning
from only1mcp.proxy.notices import asked_level
from only1mcp.proxy.outbound import check_headers, choose_leg, client_features
from only1mcp.proxy.parking import gone
from only1mcp.proxy.peers import Peers
from only1mcp.proxy.replay import Replays
from only1mcp.proxy.states import PREFIX, STATE
from only1mcp.proxy.task_list import TaskList
from only1mcp.proxy.task_routing import route_task, runs_as_task
from only1mcp.registry.edition import Edition
from only1mcp.registry.snapshot import Scope, Snapshot
from only1mcp.resilience.limiter import Limiter
from only1mcp.routing.router import Route, route
from only1mcp.sessions.session import Session, SessionSealer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a worker, as functions."""

    monotonic: Callable[[], float]
    wall: Callable[[], int]
    """Whole seconds since 1970."""


def _unnoticed(serial: int) -> None:
    """Have nobody learn which sessions are in use."""


@dataclass(slots=True)
class Parts:
    """What the pipeline is wired to."""

    edition: Edition
    learning: Learning
    means: Means
    """Swapped whole by a reload; a call keeps those that it began with."""
    audience: Audience
    peers: Peers
    sealer: SessionSealer
    is_ended: Callable[[int], bool]
    """Whether a session serial was ended before its time."""
    marks: SessionMarks
    on_roots_changed: Callable[[int], None]
    """Takes the serial of a session whose client has other roots now."""
    on_level: Callable[[int], None]
    """Learns from which severity on a client wants log messages of no call of its own."""
    record: Callable[[Outcome], None]
    """Takes the end of every request."""
    clock: Clock
    access: Access
    limiter: Limiter
    cache: ResponseCache | None = None
    """None where no answers are kept, whatever settings say."""
    on_seen: Callable[[int], None] = _unnoticed
    """Takes the serial of each legacy session of which a request comes."""


class Pipeline:
    """Carries messages of clients of both eras."""

    def __init__(self, parts: Parts, name: str, max_batch: int = MAX_MEMBERS) -> None:
        self._parts = parts
        self._name = name
        self._count = 0
        self.inbox = Inbox(parts.means.asks, parts.peers, parts.on_roots_changed)
        self._replays = Replays(parts.peers.address)
        self._batches = Batches(self.handle, max_batch)
        self.flights = None if parts.cache is None else Flights(parts.cache)
        """Calls that others may join; None where no answers are kept."""

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one message; the returned function is for a client that goes away first."""
        clock, record = self._parts.clock, self._parts.record
        journey = Journey(self._next_id(), clock.monotonic, record, request, exchange)
        return self._safely(journey, partial(self._take, journey, request, exchange))

    def _take(self, journey: Journey, request: Request, exchange: Exchange) -> Cancel:
        """Recognise a message, and see to it that it is answered."""
        journey.envelope = scan(request.body)
        request.principal = self._parts.access.check(request.principal)
        if request.of_batch:
            check_member(journey.envelope)
        elif journey.envelope.kind == BATCH:
            return self._batches.take(request, self._batch_session(request), exchange)
        inbound = classify(journey.envelope, request.headers)
        inbound.principal = request.principal.id
        session = self._session(inbound, request)
        if self._must_wait(inbound, session, request.principal.grant):
            return Later(self.handle, request, exchange).start(self._parts.edition)
        return self._dispatch(journey, inbound, session)

    def _safely(self, journey: Journey, act: Callable[[], Cancel]) -> Cancel:
        """Let whatever goes wrong be the end of one request, and no more."""
        try:
            return act()
        except Only1MCPError as error:
            return journey.fail(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs this request, no more
            _log.exception("a request failed by a mistake of the gateway")
            if journey.call is not None:
                journey.call.abandon()
            return journey.fail(Only1MCPError("internal error", detail=repr(error)))

    def _dispatch(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
        if inbound.method is None:
            return self.inbox.take(journey, inbound, session)
        if inbound.method.name == "tasks/list":
            return self._list_tasks(journey, inbound, session)
        if inbound.method.is_limited:
            self._charge(journey.request)
        if inbound.method.kind in (Kind.TARGET, Kind.TASK):
            return self._call(journey, inbound, session)
        if inbound.method.kind is Kind.STREAM:
            who = journey.request.principal
            return journey.until(self._parts.audience.listen(inbound, journey.exchange, who))
        return journey.finish(self._answer(inbound, session, journey.request.principal.grant))

    def _charge(self, request: Request) -> None:
        """Count a request against its sender's rate, once however far it travels."""
        who = request.principal
        if who.rate is not None and not (request.is_charged or request.forwarded):
            request.is_charged = True
            now_s = self._parts.clock.monotonic()
            self._parts.limiter.charge(who.number, who.rate, now_s)

    def _must_wait(self, inbound: Inbound, session: Session | None, scope: Scope) -> bool:
        """Say whether a message needs what is yet to be found out."""
        if inbound.method is None or inbound.method.name == "ping":
            return False
        learning = self._parts.learning
        if inbound.era is Era.LEGACY and not learning.knows(LEGACY):
            return True
        features = client_features(inbound, session)
        if features and not learning.knows(str(int(features))):
            return True
        return not self._parts.edition.settled and self._is_unsettled(inbound, scope)

    def _is_unsettled(self, inbound: Inbound, scope: Scope) -> bool:
        """Say whether a message needs servers that are yet to answer for the first time."""
        assert inbound.method is not None
        if inbound.method.kind is not Kind.TARGET:
            return True
        try:
            route(inbound, self._parts.edition.view(NOTHING, scope))
        except UnknownTarget:
            return True
        return False

    def _session(self, inbound: Inbound, request: Request) -> Session | None:
        """Open the session of a legacy request (2025-11-25, basic/transports)."""
        if inbound.era is Era.MODERN or inbound.envelope.method == "initialize":
            return None
        return self.open_session(request)

    def _batch_session(self, request: Request) -> Session:
        """Open the session of a batch: only some of them may send one."""
        if request.headers.session is None:
            raise InvalidRequest("a batch needs a session of 2025-03-26", hint=HINT)
        return self.open_session(request)

    def open_session(self, request: Request) -> Session:
        """Return the live session that a legacy request names.

        Raises:
            SessionMissing: it names none.
            SessionNotFound: the session is unknown, another's, expired or ended.
            Unauthenticated: nobody has let its sender in.
            InvalidRequest: its version header names no revision that we speak.
        """
        headers, parts = request.headers, self._parts
        request.principal = parts.access.check(request.principal)
        if headers.session is None:
            raise SessionMissing("the Mcp-Session-Id header is missing", hint="initialize first")
        if headers.version is not None and headers.version not in LEGACY_VERSIONS:
            raise InvalidRequest(f"protocol version {headers.version[:40]!r} is not supported")
        session = parts.sealer.open(headers.session, parts.clock.wall())
        if session.principal != request.principal.id:
            raise SessionNotFound("unknown session", hint="initialize again")
        if parts.is_ended(session.serial):
            raise SessionNotFound("the session was ended", hint="initialize again")
        parts.on_seen(session.serial)
        return session

    def end_session(self, serial: int) -> None:
        """Stop what this worker does for a session that was ended."""
        self.inbox.end_session(serial)

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a legacy session, or resume one of its streams.

        Raises:
            ClientError: there cannot be one.
        """
        if request.headers.version in MODERN_VERSIONS:
            raise MethodNotFound("2026-07-28 has no streams of sessions")
        session = self.open_session(request)

        def anew() -> Cancel:
            stream = self._replays.wrap(session, request, exchange)
            leave = self._parts.audience.follow(
                session, stream, request.principal,
                instead=request.last_event_id is not None,
            )  # fmt: skip
            return self._replays.keeper(stream, leave)

        if request.last_event_id is None:
            return anew()
        return self._replays.resume(session, request, exchange, self._parts.peers, anew)

    def _answer(self, inbound: Inbound, session: Session | None, scope: Scope) -> Answer:
        """Answer what needs no backend."""
        envelope, method, parts = inbound.envelope, inbound.method, self._parts
        snapshot = parts.edition.view(client_features(inbound, session), scope)
        assert envelope.id is not None
        assert method is not None
        if method.result_key is not None:
            page = local.list_page(
                envelope, method.result_key, inbound.era, snapshot,
                core_tasks=session is not None and session.knows_tasks,
            )  # fmt: skip
            return success(envelope.id, page)
        if method.name == "server/discover":
            return success(envelope.id, local.discover(snapshot))
        if method.name == "initialize":
            result, opened = local.initialize(
                envelope, snapshot, parts.sealer, parts.clock.wall(), inbound.principal
            )
            answer = success(envelope.id, result)
            answer.session_id = parts.sealer.seal(opened)
            return answer
        if method.name == "logging/setLevel":
            assert session is not None
            level = local.set_level(envelope, session, parts.marks, parts.clock.wall())
            if not inbound.principal:  # who has a key hears of none
                parts.on_level(level)
        return success(envelope.id, b"{}")

    def _call(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
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
            self.inbox.register(session.serial, journey)

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
            go_alone, again = (partial(self._safely, journey, act) for act in (alone, fly))
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

    def _list_tasks(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
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

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count:x}"


def _retry(inbound: Inbound) -> Retry | None:
    """Return what a modern request brings that is sent again; keys may be written with escapes."""
    envelope = inbound.envelope
    body: bytes = envelope.body
    if inbound.era is not Era.MODERN or (STATE.encode() not in body and b"\\u" not in body):
        return None
    return read_retry(body[envelope.params_start : envelope.params_end])
