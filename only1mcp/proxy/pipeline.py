"""The way of one message: recognise → admit → route → backend → answer, on one screen.

Ingress calls `Pipeline.handle` with a whole message; everything on the way is a plain call, and the
answer comes back through the exchange. A feature that has no line here is not on the request path.
"""

from functools import partial

from only1mcp._speedups import BATCH, scan
from only1mcp.backends.call import Cancel
from only1mcp.errors import MethodNotFound
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.protocol.methods import Kind
from only1mcp.protocol.versions import MODERN_VERSIONS
from only1mcp.proxy import local
from only1mcp.proxy.admission import Admission
from only1mcp.proxy.answer import success
from only1mcp.proxy.batch import MAX_MEMBERS, Batches, check_member
from only1mcp.proxy.calls import Calls
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.proxy.inbox import Inbox
from only1mcp.proxy.journey import Journey
from only1mcp.proxy.later import Later, must_wait
from only1mcp.proxy.outbound import client_features
from only1mcp.proxy.parts import Parts
from only1mcp.proxy.replay import Replays
from only1mcp.registry.snapshot import Scope
from only1mcp.sessions.session import Session


class Pipeline:
    """Carries messages of clients of both eras."""

    def __init__(self, parts: Parts, name: str, max_batch: int = MAX_MEMBERS) -> None:
        self._parts = parts
        self._name = name
        self._count = 0
        self._batches = Batches(self.handle, max_batch)
        self._replays = Replays(parts.peers.address)
        self.admission = Admission(parts)
        self.inbox = Inbox(parts.means.asks, parts.peers, parts.on_roots_changed)
        self.calls = Calls(parts, self.inbox, self._replays)

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one message; the returned function is for a client that goes away first."""
        clock, record = self._parts.clock, self._parts.record
        journey = Journey(self._next_id(), clock.monotonic, record, request, exchange)
        return journey.safely(partial(self._take, journey, request, exchange))

    def _take(self, journey: Journey, request: Request, exchange: Exchange) -> Cancel:
        """Recognise a message, and see to it that it is answered."""
        journey.envelope = scan(request.body)
        request.principal = self._parts.access.check(request.principal)
        if request.of_batch:
            check_member(journey.envelope)
        elif journey.envelope.kind == BATCH:
            return self._batches.take(request, self.admission.batch_session(request), exchange)
        inbound = classify(journey.envelope, request.headers)
        inbound.principal = request.principal.id
        session = self.admission.session(inbound, request)
        if must_wait(self._parts, inbound, session, request.principal.grant):
            return Later(self.handle, request, exchange).start(self._parts.edition)
        return self._dispatch(journey, inbound, session)

    def _dispatch(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
        if inbound.method is None:
            return self.inbox.take(journey, inbound, session)
        if inbound.method.name == "tasks/list":
            return self.calls.list_tasks(journey, inbound, session)
        if inbound.method.is_limited:
            self.admission.charge(journey.request)
        if inbound.method.kind in (Kind.TARGET, Kind.TASK):
            return self.calls.take(journey, inbound, session)
        if inbound.method.kind is Kind.STREAM:
            who = journey.request.principal
            return journey.until(self._parts.audience.listen(inbound, journey.exchange, who))
        return journey.finish(self._answer(inbound, session, journey.request.principal.grant))

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

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a legacy session, or resume one of its streams.

        Raises:
            ClientError: there cannot be one.
        """
        if request.headers.version in MODERN_VERSIONS:
            raise MethodNotFound("2026-07-28 has no streams of sessions")
        session = self.admission.open_session(request)

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

    def end_session(self, serial: int) -> None:
        """Stop what this worker does for a session that was ended."""
        self.inbox.end_session(serial)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count:x}"
