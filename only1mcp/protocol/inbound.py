"""Headers and message → what the client wants, in which era; or the error that the rules demand.

The order of the checks is that of 2026-07-28, basic/transports/streamable-http (Server validation)
and basic/versioning; the first failure wins.
"""

from dataclasses import dataclass

from only1mcp._speedups import BATCH, NOTIFICATION, RESPONSE, Envelope, members
from only1mcp.errors import (
    HeaderMismatch,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    UnsupportedProtocolVersion,
)
from only1mcp.protocol.headers import McpHeaders, decode_value
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.log_levels import LEVELS, LOG_LEVEL, severity
from only1mcp.protocol.methods import METHODS, Method
from only1mcp.protocol.task_members import OWN_ID, id_at
from only1mcp.protocol.versions import LEGACY_VERSIONS, MODERN_VERSIONS, Era


@dataclass(slots=True)
class Inbound:
    """One classified message from a client."""

    envelope: Envelope
    era: Era
    method: Method | None
    """The row of the method table; None for notifications and responses."""
    principal: str = ""
    """The id of who sent it, which binds what outlives the request: tasks, tickets."""


def classify(envelope: Envelope, headers: McpHeaders) -> Inbound:
    """Tell the era of a message and check it against that era's rules.

    Raises:
        ClientError: the message breaks a rule; the class names which.
    """
    if envelope.kind == BATCH:
        raise InvalidRequest("a batch cannot stand here", hint="send one message per request")
    if claimed_era(envelope, headers) is Era.MODERN:
        return _modern(envelope, headers)
    return _legacy(envelope, headers)


def claimed_era(envelope: Envelope, headers: McpHeaders) -> Era:
    """Tell whose rules a message is held to, whether or not it keeps them."""
    if envelope.version_start:
        return Era.MODERN
    is_legacy = headers.version is None or headers.version in LEGACY_VERSIONS
    return Era.LEGACY if is_legacy else Era.MODERN


def _legacy(envelope: Envelope, headers: McpHeaders) -> Inbound:
    if "mcp-session-id" in headers.repeated or "mcp-protocol-version" in headers.repeated:
        raise InvalidRequest("a session or version header stands more than once")
    if envelope.kind in (NOTIFICATION, RESPONSE):
        return Inbound(envelope, Era.LEGACY, None)
    return Inbound(envelope, Era.LEGACY, _method(envelope, Era.LEGACY))


def _modern(envelope: Envelope, headers: McpHeaders) -> Inbound:
    if envelope.kind == RESPONSE:
        raise InvalidRequest("clients of 2026-07-28 do not send responses")
    if envelope.kind == NOTIFICATION:
        return Inbound(envelope, Era.MODERN, None)
    _check_meta(envelope, headers)
    _check_headers(envelope, headers)
    if envelope.version not in MODERN_VERSIONS:
        raise UnsupportedProtocolVersion(
            f"protocol version {envelope.version} is not supported",
            data={"supported": list(MODERN_VERSIONS), "requested": envelope.version},
        )
    method = _method(envelope, Era.MODERN)
    _check_name(envelope, method, headers)
    return Inbound(envelope, Era.MODERN, method)


def _check_meta(envelope: Envelope, headers: McpHeaders) -> None:
    if not envelope.meta_end:
        if headers.version not in MODERN_VERSIONS:
            raise UnsupportedProtocolVersion(
                f"protocol version {headers.version}, which the header names, is not supported",
                data={
                    "supported": [*LEGACY_VERSIONS, *MODERN_VERSIONS],
                    "requested": headers.version,
                },
            )
        raise InvalidParams("params._meta is missing or not an object")
    if envelope.version is None:
        raise InvalidParams("params._meta must name io.modelcontextprotocol/protocolVersion")
    if not envelope.capabilities_end:
        raise InvalidParams("params._meta must hold io.modelcontextprotocol/clientCapabilities")
    if b"logLevel" in envelope.body[envelope.meta_start : envelope.meta_end]:
        _check_level(envelope)


def _check_level(envelope: Envelope) -> None:
    for key, start, end in members(envelope.body, envelope.meta_start):
        level: bytes = envelope.body[start:end]
        if key == LOG_LEVEL and level != b"null" and severity(as_string(level) or "") is None:
            raise InvalidParams(
                f"params._meta: {LOG_LEVEL} is not a log level", hint=f"one of {', '.join(LEVELS)}"
            )


def _check_headers(envelope: Envelope, headers: McpHeaders) -> None:
    if headers.repeated:
        raise HeaderMismatch(f"header {headers.repeated[0]} stands more than once")
    if headers.version is None:
        raise HeaderMismatch("header MCP-Protocol-Version is missing")
    if headers.version != envelope.version:
        raise HeaderMismatch("header MCP-Protocol-Version differs from params._meta")
    if headers.method is None:
        raise HeaderMismatch("header Mcp-Method is missing")
    if headers.method != envelope.method:
        raise HeaderMismatch("header Mcp-Method differs from the body")


def _check_name(envelope: Envelope, method: Method, headers: McpHeaders) -> None:
    """Compare Mcp-Name with the target, where the method has one (Standard headers)."""
    if method.target not in ("name", "uri", "taskId"):
        return
    target = _target(envelope, method.target)
    if headers.name is None:
        raise HeaderMismatch("header Mcp-Name is missing")
    if target is not None and decode_value(headers.name) != target:
        raise HeaderMismatch(f"header Mcp-Name differs from params.{method.target}")


def _target(envelope: Envelope, key: str) -> str | None:
    if key == "taskId":
        return id_at(envelope.body[envelope.params_start : envelope.params_end], OWN_ID)
    return envelope.name if key == "name" else envelope.uri


def _method(envelope: Envelope, era: Era) -> Method:
    assert envelope.method is not None
    method = METHODS.get(envelope.method)
    if method is None or era not in method.eras:
        raise MethodNotFound(f"method {envelope.method[:100]!r} is not known here")
    return method
