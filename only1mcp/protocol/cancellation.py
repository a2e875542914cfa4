"""`notifications/cancelled`, which both eras have (basic/utilities/cancellation)."""

from only1mcp._speedups import Envelope, members
from only1mcp.protocol import jsonrpc

CANCELLED = "notifications/cancelled"


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
