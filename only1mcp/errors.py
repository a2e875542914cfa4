"""Every failure of a request, shaped by who is to blame.

The class decides the JSON-RPC code, the HTTP status and the metric label, so that
`only1mcp.proxy.answer` holds no chain of conditions. ``str(error)`` is fit for the client; what
only an operator may see stands in ``detail``. A backend's own JSON-RPC error is not an exception:
it is a reply and passes through.

Codes below -32000 are those of JSON-RPC 2.0 and of MCP 2026-07-28 (basic/index, Error codes). Codes
of our own lie outside the range -32768..-32000, which both specifications reserve.
"""

from typing import Any


class Only1MCPError(Exception):
    """The end of a request; the base of everything below."""

    code: int = -32603
    """JSON-RPC error code."""
    http_status: int = 500
    """HTTP status when the error is the whole answer."""
    legacy_status: int = 200
    """The same in answer to a request of a legacy client, whose SDK would take another status for
    the end of the session or of the connection."""
    reason: str = "internal"
    """Value of the `status` label in metrics."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        data: dict[str, Any] | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        """What a person can do about it."""
        self.data = data
        """`error.data` of the JSON-RPC error."""
        self.detail = detail
        """For the log only."""

    def for_operator(self) -> str:
        """Return the message with what only an operator may see."""
        return f"{self} ({self.detail})" if self.detail else str(self)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """HTTP headers of the answer besides the usual ones."""
        return ()


class ClientError(Only1MCPError):
    """The caller can fix it."""

    http_status = 400
    reason = "client_error"


class ParseError(ClientError):
    """The body is not JSON."""

    code = -32700
    reason = "parse_error"


class InvalidRequest(ClientError):
    """The body is JSON, yet not one JSON-RPC message."""

    code = -32600
    reason = "invalid_request"


class MethodNotFound(ClientError):
    """The method does not exist in this era, or no backend has the capability."""

    code = -32601
    http_status = 404
    reason = "method_not_found"


class InvalidParams(ClientError):
    """The parameters are wrong for the method."""

    code = -32602
    reason = "invalid_params"


class HeaderMismatch(ClientError):
    """A header is missing, malformed, or contradicts the body (2026-07-28, streamable-http)."""

    code = -32020
    reason = "header_mismatch"


class MissingClientCapability(ClientError):
    """The client did not declare what its request needs (2026-07-28, basic/index)."""

    code = -32021
    reason = "missing_capability"


class UnsupportedProtocolVersion(ClientError):
    """The client speaks a revision that we do not (2026-07-28, basic/versioning)."""

    code = -32022
    reason = "unsupported_version"


class SessionMissing(ClientError):
    """A legacy request without the session id it needs."""

    code = -32600
    legacy_status = 400
    reason = "session_missing"


class SessionNotFound(ClientError):
    """The session id is unknown, altered, expired or ended; the client must initialize anew."""

    code = -32600
    http_status = 404
    legacy_status = 404
    reason = "session_not_found"


class Forbidden(ClientError):
    """Host, Origin or policy refuse the caller."""

    code = -32600
    http_status = 403
    reason = "forbidden"


class Unauthenticated(ClientError):
    """The request has no credentials that we know (RFC 6750, section 3)."""

    code = -32600
    http_status = 401
    legacy_status = 401
    reason = "unauthenticated"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge; without credentials it names no error."""
        return (("WWW-Authenticate", 'Bearer realm="only1mcp"'),)


class InvalidCredentials(Unauthenticated):
    """The request has credentials, but they are nobody's."""

    reason = "invalid_credentials"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge (RFC 6750, section 3.1)."""
        return (("WWW-Authenticate", 'Bearer realm="only1mcp", error="invalid_token"'),)


class InsufficientScope(Forbidden):
    """The credentials are good, yet not for this."""

    reason = "insufficient_scope"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The challenge (RFC 6750, section 3.1)."""
        return (("WWW-Authenticate", 'Bearer realm="only1mcp", error="insufficient_scope"'),)


class RateLimited(ClientError):
    """The caller has used up its rate. A legacy SDK would take 429 for the connection's end."""

    code = 32007
    http_status = 429
    reason = "rate_limited"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """When to come back (RFC 6585, section 4)."""
        return (("Retry-After", str((self.data or {}).get("retryAfter", 1))),)


class NotAcceptable(ClientError):
    """The client does not accept what we would answer."""

    code = -32600
    http_status = 406
    reason = "not_acceptable"


class UnsupportedMediaType(ClientError):
    """The body is not declared as JSON."""

    code = -32600
    http_status = 415
    reason = "unsupported_media_type"


class Cancelled(ClientError):
    """The client took its request back (2025-11-25, basic/utilities/cancellation)."""

    code = -32800
    http_status = 200
    reason = "cancelled"


class RoutingError(Only1MCPError):
    """There is nobody to ask."""

    http_status = 200
    reason = "routing_error"


class UnknownTarget(RoutingError):
    """No backend offers this tool, prompt or resource."""

    code = -32602
    reason = "unknown_target"


class UnlistedTarget(UnknownTarget):
    """The backend whose prefix the name has was never up, so what it offers is not known."""

    code = 32001
    reason = "unlisted_target"


class Overloaded(RoutingError):
    """Too much is under way already; nothing was sent."""

    code = 32004
    http_status = 503
    reason = "overloaded"

    @classmethod
    def of(cls, what: str) -> "Overloaded":
        """Say of a server, or of the gateway, that it has fallen behind for a while."""
        return cls(f"{what} has more to do than it can", hint="try again in a second")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """When to come back (RFC 9110, section 10.2.3)."""
        return (("Retry-After", "1"),)


class BackendError(Only1MCPError):
    """The backend's fault; the message names the backend."""

    http_status = 200
    reason = "backend_error"


class BackendUnreachable(BackendError):
    """The backend could not be reached; the call did not run."""

    code = 32001
    reason = "backend_unreachable"


class CircuitOpen(BackendUnreachable):
    """The backend failed too often of late and is given time; the call was not sent."""

    reason = "circuit_open"

    @classmethod
    def of(cls, server_id: str, left_s: int) -> "CircuitOpen":
        """Say of a server that it is left alone for so many seconds."""
        return cls(
            f"server {server_id} failed too often and gets no calls for now",
            hint=f"it is tried again in {left_s} s; see `only1mcp status`",
        )


class BackendBusy(BackendUnreachable):
    """The backend took the call and said that it could not run it; only safe ones are repeated."""

    reason = "backend_busy"


class BackendTimeout(BackendError):
    """The backend did not answer in time; the call may have run."""

    code = 32002
    reason = "backend_timeout"


class BackendLost(BackendError):
    """The connection or process ended during the call; the call may have run."""

    code = 32003
    reason = "backend_lost"


class BackendProtocolError(BackendError):
    """The backend answered with something that is not MCP."""

    code = 32005
    reason = "backend_protocol"


class NoStream(BackendProtocolError):
    """The backend has no stream on which it would speak outside of requests."""

    reason = "no_stream"
