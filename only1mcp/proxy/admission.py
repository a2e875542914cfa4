"""Who may send what: the session that a request is of, and the rate of its sender."""

from only1mcp.errors import InvalidRequest, SessionMissing, SessionNotFound
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.versions import LEGACY_VERSIONS, Era
from only1mcp.proxy.batch import HINT
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.parts import Parts
from only1mcp.sessions.session import Session


class Admission:
    """Lets requests in, or says why not."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def session(self, inbound: Inbound, request: Request) -> Session | None:
        """Open the session of a legacy request (2025-11-25, basic/transports)."""
        if inbound.era is Era.MODERN or inbound.envelope.method == "initialize":
            return None
        return self.open_session(request)

    def batch_session(self, request: Request) -> Session:
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

    def charge(self, request: Request) -> None:
        """Count a request against its sender's rate, once however far it travels."""
        who = request.principal
        if who.rate is not None and not (request.is_charged or request.forwarded):
            request.is_charged = True
            now_s = self._parts.clock.monotonic()
            self._parts.limiter.charge(who.number, who.rate, now_s)
