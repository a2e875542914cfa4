"""`notifications/cancelled`, which both eras have (basic/utilities/cancellation)."""

from only1mcp._speedups import Envelope, members
from only1mcp.protocol import jsonrpc

CANCELLED = "notifications/cancelled"
NOT_CANCELLED = frozenset({"initialize", "ping"})
"""What is never withdrawn: it costs a server less than hearing that nobody waits for it any more.
The Python SDK of the first generation ends, with all calls that are under way, when it has the
withdrawal of a request in hand whose answer it is about to write; after a pause it always has that
of a health check. And `initialize` must not be cancelled (2025-11-25, basic/utilities)."""


def cancelled_id(notification: Envelope) -> bytes | None:
    """Return the id of the request that is cancelled, as JSON; None when none is named."""
    body: bytes = notification.body
    if not notification.params_end:
        return None
    spans = members(body, notification.params_start)
    return next((body[start:end] for key, start, end in spans if key == "requestId"), None)


def cancellation(request_id: bytes) -> bytes:
    """Write the notification."""
    return jsonrpc.notification(CANCELLED, b'{"requestId":%b}' % request_id)
