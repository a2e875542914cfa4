"""What tells an answer that is kept from all that are not the same. Pure.

Parameters count byte for byte as they were written, but for the target's name, which the servers of
a route know by another, and for `_meta`. What is left cannot be mistaken for that of others: only
the values of these two members are cut out, the members themselves stay.
"""

import orjson

from only1mcp._speedups import Envelope, members
from only1mcp.protocol.translate import CONNECTION_KEYS
from only1mcp.protocol.versions import Era

LEGACY_PLAIN = b"legacy"
"""Stands for the capabilities of legacy clients that can be asked nothing."""
ANYBODY = b"*"
"""Stands for the caller where an answer is good for all; no caller's part is the same."""
_MORE = frozenset({"inputResponses", "requestState", "task"})
_HARMLESS = CONNECTION_KEYS | {"progressToken", "traceparent", "tracestate", "baggage"}
"""Keys of `_meta` that have no say in what is answered."""


def prefix(
    server: tuple[str, int], method: str, target: str, form: tuple[Era, bool], capabilities: bytes
) -> bytes:
    """Return the part of a key that calls of one kind have in common; no part has a zero byte.

    Args:
        server: its id, and the number of its declaration.
        method: what is called.
        target: the server's own name of what is called.
        form: the era spoken to the server, and whether structured output is wrapped for the client.
        capabilities: what the client said that it can do.
    """
    leg, wraps = form
    said = f"{server[0]}\0{server[1]}\0{method}\0{leg.value}\0{int(wraps)}\0".encode()
    return b"%b%b\0%b\0" % (said, orjson.dumps(target), capabilities)


def caller_part(principal: str) -> bytes:
    """Return what stands for one caller."""
    return b"=" + principal.encode()


def whole(common: bytes, caller: bytes, params: bytes) -> bytes:
    """Return the key."""
    return b"%b%b\0%b" % (common, caller, params)


def bare_params(envelope: Envelope, named: bool) -> bytes:
    """Return the parameters without the values of `_meta`, and of `name` if that is the target."""
    body: bytes = envelope.body
    start, end = envelope.params_start, envelope.params_end
    cuts = [(envelope.meta_start, envelope.meta_end)]
    if named:
        cuts.append((envelope.name_start, envelope.name_end))
    pieces = []
    for first, last in sorted(cut for cut in cuts if cut[1]):
        pieces.append(body[start:first])
        start = last
    return b"".join([*pieces, body[start:end]])


def asks_for_more(envelope: Envelope) -> bool:
    """Say whether a call asks for a task, or goes on with one that was asked something."""
    found = members(envelope.body, envelope.params_start)
    return not _MORE.isdisjoint(key for key, _, _ in found)


def is_plain(envelope: Envelope) -> bool:
    """Say whether nothing in a call's `_meta` can have a say in its answer."""
    if (
        not envelope.meta_end
        or envelope.body[envelope.meta_start : envelope.meta_start + 1] != b"{"
    ):
        return True
    found = members(envelope.body, envelope.meta_start)
    return _HARMLESS.issuperset(key for key, _, _ in found)
