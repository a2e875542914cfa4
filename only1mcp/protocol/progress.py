"""The keys that tie notifications to what asked for them, replaced in place.

A progress token is unique within one connection only, so it is exchanged where requests of many
clients share one; a notification on a listening stream bears the id of its subscription. Source:
2026-07-28, basic/patterns/progress and basic/patterns/subscriptions.
"""

from only1mcp.protocol.raw_object import fields, with_field

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"


def with_token(params: bytes, token: bytes) -> bytes:
    """Return a request's parameters with its progress token exchanged, if it has one."""
    meta = fields(params).get("_meta", b"")
    if "progressToken" not in fields(meta):
        return params
    return with_field(params, "_meta", with_field(meta, "progressToken", token))


def token_of(params: bytes) -> bytes | None:
    """Return the token of a progress notification as it is written."""
    return fields(params).get("progressToken")


def with_progress_token(params: bytes, token: bytes) -> bytes:
    """Return a progress notification's parameters with the token exchanged, if there is one."""
    if "progressToken" not in fields(params):
        return params
    return with_field(params, "progressToken", token)


def subscription_tagged(params: bytes, subscription_id: bytes) -> bytes:
    """Return a notification's parameters with the id of the subscription that it answers."""
    meta = fields(params).get("_meta", b"")
    return with_field(params, "_meta", with_field(meta, SUBSCRIPTION_ID, subscription_id))
