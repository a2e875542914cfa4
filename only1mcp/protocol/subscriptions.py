"""What is watched: resources, by subscriptions of either era."""

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
