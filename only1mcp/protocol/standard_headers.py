"""The headers that repeat what a modern request says in its body.

For messages that come from where there are no headers, and for those that go where there have to
be. Source: 2026-07-28, basic/transports/streamable-http (Standard headers).
"""

from only1mcp._speedups import Envelope
from only1mcp.protocol.headers import McpHeaders, encode_value
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.raw_object import fields

_NAMED = frozenset({"name", "uri", "taskId"})
"""The parameters that name a target and stand in a header."""


def standard_headers(envelope: Envelope) -> McpHeaders:
    """Return the headers that belong to a request."""
    method = METHODS.get(envelope.method or "")
    key = method.target if method is not None else None
    if key not in _NAMED:
        return McpHeaders(version=envelope.version, method=envelope.method)
    params = fields(envelope.body[envelope.params_start : envelope.params_end])
    name = encode_value(as_string(params.get(key, b"")) or "")
    return McpHeaders(version=envelope.version, method=envelope.method, name=name)
