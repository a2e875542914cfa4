"""The way of one message: recognise → admit → route → backend → answer, on one screen.

Ingress calls `Pipeline.handle` with a whole message; everything on the way is a plain call, and the
answer comes back through the exchange. A feature that has no line here is not on the request path.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from only1mcp._speedups import REQUEST, Envelope, scan
from only1mcp.backends.call import Backend, Cancel
from only1mcp.errors import (
    InvalidRequest,
    Only1MCPError,
    SessionMissing,
    SessionNotFound,
    UnknownTarget,
)
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.protocol.methods import METHODS, OTHER_INDEX, Kind
from only1mcp.protocol.versions import LEGACY_VERSIONS, Era
from only1mcp.proxy import local
from only1mcp.proxy.answer import ACCEPTED, failure, success
from only1mcp.proxy.call import Call
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.registry.edition import Edition
from only1mcp.routing.router import route
from only1mcp.sessions.session import Session, SessionSealer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a worker, as functions."""

    monotonic: Callable[[], float]
    wall: Callable[[], int]
    """Whole seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pipeline is wired to."""

    edition: Edition
    backends: Mapping[str, Backend]
    timeouts_s: Mapping[str, float]
    sealer: SessionSealer
    is_ended: Callable[[int], bool]
    """Whether a session serial was ended before its time."""
    record: Callable[["Outcome"], None]
    """Takes the end of every request."""
    on_attempt: Callable[[str, str, float], None]
    clock: Clock


@dataclass(slots=True)
class Outcome:
    """How a request ended, for metrics and log."""

    request_id: str
    method_index: int
    method: str
    target: str | None
    server_id: str | None
    client: str
    status: str
    seconds: float
    detail: str | None = None


class Pipeline:
    """Carries messages of clients of both eras."""

    def __init__(self, parts: Parts, name: str) -> None:
        self._parts = parts
        self._name = name
        self._count = 0

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one message; the returned function is for a client that goes away first."""
        journey = _Journey(self._next_id(), self._parts, request, exchange)
        try:
            journey.envelope = scan(request.body)
            inbound = classify(journey.envelope, request.headers)
            if not self._parts.edition.settled and self._must_wait(inbound):
                return _Later(self, request, exchange).start(self._parts.edition)
            session = self._session(inbound, request)
            if inbound.method is None:
                return journey.finish(ACCEPTED)
            if inbound.method.kind is Kind.TARGET:
                return self._call(journey, inbound, session)
            return journey.finish(self._answer(inbound, request))
        except Only1MCPError as error:
            return journey.fail(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs this request, no more
            _log.exception("a request failed by a mistake of the gateway")
            if journey.call is not None:
                journey.call.abandon()
            return journey.fail(Only1MCPError("internal error", detail=repr(error)))

    def _must_wait(self, inbound: Inbound) -> bool:
        """Say whether a message needs servers that are yet to answer for the first time."""
        if inbound.method is None or inbound.method.name == "ping":
            return False
        if inbound.method.kind is not Kind.TARGET:
            return True
        try:
            route(inbound, self._parts.edition.current)
        except UnknownTarget:
            return True
        return False

    def _session(self, inbound: Inbound, request: Request) -> Session | None:
        """Open the session of a legacy request (2025-11-25, basic/transports)."""
        if inbound.era is Era.MODERN or inbound.envelope.method == "initialize":
            return None
        return self.open_session(request)

    def open_session(self, request: Request) -> Session:
        """Return the live session that a legacy request names.

        Raises:
            SessionMissing: it names none.
            SessionNotFound: the session is unknown, expired or ended.
            InvalidRequest: its version header names no revision that we speak.
        """
        headers, parts = request.headers, self._parts
        if headers.session is None:
            raise SessionMissing("the Mcp-Session-Id header is missing", hint="initialize first")
        if headers.version is not None and headers.version not in LEGACY_VERSIONS:
            raise InvalidRequest(f"protocol version {headers.version[:40]!r} is not supported")
        session = parts.sealer.open(headers.session, parts.clock.wall())
        if parts.is_ended(session.serial):
            raise SessionNotFound("the session was ended", hint="initialize again")
        return session

    def _answer(self, inbound: Inbound, request: Request) -> Answer:
        """Answer what needs no backend."""
        envelope, method, parts = inbound.envelope, inbound.method, self._parts
        snapshot = parts.edition.current
        assert envelope.id is not None
        assert method is not None
        if method.result_key is not None:
            page = local.list_page(envelope, method.result_key, inbound.era, snapshot)
            return success(envelope.id, page)
        if method.name == "server/discover":
            return success(envelope.id, local.discover(snapshot))
        if method.name == "initialize":
            result, session = local.initialize(envelope, snapshot, parts.sealer, parts.clock.wall())
            answer = success(envelope.id, result)
            answer.session_id = parts.sealer.seal(session)
            return answer
        return success(envelope.id, b"{}")  # ping

    def _call(self, journey: "_Journey", inbound: Inbound, session: Session | None) -> Cancel:
        parts = self._parts
        snapshot = parts.edition.current
        way = route(inbound, snapshot)
        call = Call(inbound, session, way, snapshot, parts.on_attempt, journey.end)
        journey.call = call
        call.start(parts.backends, parts.timeouts_s[way.server_ids[0]])
        return journey.abandon

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count:x}"


class _Later:
    """A request that waits until every server has answered or failed once, or the wait is over."""

    def __init__(self, pipeline: Pipeline, request: Request, exchange: Exchange) -> None:
        self._args = (request, exchange)
        self._pipeline = pipeline
        self._cancel: Cancel = _nothing

    def start(self, edition: Edition) -> Cancel:
        self._cancel = edition.when_settled(self._run)
        return self._stop

    def _stop(self) -> None:
        self._cancel()

    def _run(self) -> None:
        self._cancel = self._pipeline.handle(*self._args)


class _Journey:
    """One request from its arrival to its end."""

    def __init__(self, request_id: str, parts: Parts, request: Request, exchange: Exchange) -> None:
        self._request_id = request_id
        self._parts = parts
        self._request = request
        self._exchange = exchange
        self._began = parts.clock.monotonic()
        self._ended = False
        self.envelope: Envelope | None = None
        """None while the body was not found to be a message."""
        self.call: Call | None = None

    def finish(self, answer: Answer, status: str = "ok", detail: str | None = None) -> Cancel:
        if not self._ended:
            self._ended = True
            self._exchange.answer(answer)
            self._record(status, detail)
        return _nothing

    def fail(self, error: Only1MCPError) -> Cancel:
        envelope = self.envelope
        request_id = envelope.id if envelope is not None and envelope.kind == REQUEST else None
        detail = error.detail or str(error)
        return self.finish(failure(request_id, error), error.reason, detail)

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        if isinstance(outcome, Only1MCPError):
            self.fail(outcome)
        else:
            self.finish(outcome, status)

    def abandon(self) -> None:
        if not self._ended and self.call is not None:
            self._ended = True
            self.call.abandon()
            self._record("cancelled", None)

    def _record(self, status: str, detail: str | None) -> None:
        envelope, call = self.envelope, self.call
        method = METHODS.get(envelope.method or "") if envelope is not None else None
        self._parts.record(
            Outcome(
                request_id=self._request_id,
                method_index=OTHER_INDEX if method is None else method.index,
                method=(envelope.method or "") if envelope is not None else "",
                target=(envelope.name or envelope.uri) if envelope is not None else None,
                server_id=call.server_id if call is not None else None,
                client=self._request.client,
                status=status,
                seconds=self._parts.clock.monotonic() - self._began,
                detail=detail,
            )
        )


def _nothing() -> None:
    """Cancel what has ended already."""
