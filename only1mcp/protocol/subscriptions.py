"""What is watched: resources, by subscriptions of either era."""

from only1mcp._speedups import Envelope
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
SUBSCRIPTIONS = frozenset({SUBSCRIBE, UNSUBSCRIBE})
UPDATED = "notifications/resources/updated"
LIST_CHANGED = "/list_changed"
"""How the notifications end that tell of changed lists."""
MAX_URIS = 1000
"""Resources that one client may watch: by one session, or by one `subscriptions/listen`."""


def is_of_session(method: str | None) -> bool:
    """Say whether a notification is about a whole session, whatever stream it came on."""
    return method == UPDATED or (method or "").endswith(LIST_CHANGED)


def list_changed(kind: str) -> str:
    """Return the notification that tells of changed lists of tools, prompts or resources."""
    return f"notifications/{kind}{LIST_CHANGED}"


def updated_uri(update: Envelope) -> str | None:
    """Return the resource that a notification says was updated; None when it names none."""
    params = fields(update.body[update.params_start : update.params_end])
    return as_string(params.get("uri", b""))
