"""What is watched: resources, by subscriptions of either era."""

from only1mcp._speedups import Envelope, elements, members
from only1mcp.errors import InvalidParams
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
SUBSCRIPTIONS = frozenset({SUBSCRIBE, UNSUBSCRIBE})
UPDATED = "notifications/resources/updated"
LIST_CHANGED = "/list_changed"
"""How the notifications end that tell of changed lists."""
MAX_URIS = 1000
"""Resources that one client may watch: by one session, or by one `subscriptions/listen`."""
FLAGS = {
    "toolsListChanged": "tools", "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}  # fmt: skip
"""Which lists a `subscriptions/listen` may be about."""
KINDS = frozenset(FLAGS.values())
_NAMED = frozenset({"resourceSubscriptions", "taskIds"})


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


def read_wanted(envelope: Envelope) -> tuple[frozenset[str], list[str], list[str] | None]:
    """Read which lists, resources and tasks a subscription is about; None if it names no tasks.

    Raises:
        InvalidParams: that is not said properly, or it is too much.
    """
    body: bytes = envelope.body
    spans = {key: (a, b) for key, a, b in members(body, envelope.params_start)}
    start, _ = spans.get("notifications", (0, 0))
    if body[start : start + 1] != b"{" or not start:
        raise InvalidParams("params.notifications must be an object")
    kinds: set[str] = set()
    named: dict[str, list[str]] = {}
    for key, a, b in members(body, start):
        if key in FLAGS and body[a:b] == b"true":
            kinds.add(FLAGS[key])
        elif key in _NAMED and body[a : a + 1] == b"[":
            found = [as_string(body[c:d]) for c, d in elements(body, a)]
            named[key] = [text for text in found if text is not None]
    if any(len(some) > MAX_URIS for some in named.values()):
        raise InvalidParams(
            f"more than {MAX_URIS} resources or tasks in one subscription",
            hint="open another subscription for the rest",
        )
    return frozenset(kinds), named.get("resourceSubscriptions", []), named.get("taskIds")
