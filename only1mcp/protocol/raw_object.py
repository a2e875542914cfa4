"""JSON objects as bytes: a member is read, replaced or dropped, all else stays as it was written.

The bytes come out of messages that were scanned: they are valid, with no white space around them.
What is no object, or is absent (no bytes at all), has no members.
"""

from collections.abc import Set as AbstractSet

import orjson

from only1mcp._speedups import members
from only1mcp.protocol.translate import splice, without, write_object

ABSENT = (b"", b"null")
"""How a member looks that says nothing: some SDKs write null for what they leave out."""


def fields(raw: bytes) -> dict[str, bytes]:
    """Return the raw value of each member; of a key that stands twice, the last one."""
    if raw[:1] != b"{":
        return {}
    return {key: raw[start:end] for key, start, end in members(raw)}


def with_field(raw: bytes, key: str, value: bytes) -> bytes:
    """Return the object with this member replaced, or else added at its end."""
    if raw[:1] != b"{":
        return write_object([(key, value)])
    spans = [(start, end) for name, start, end in members(raw) if name == key]
    if len(spans) == 1:
        return splice(raw, *spans[0], value)
    kept = without(raw, 0, frozenset({key})) if spans else raw
    body = kept[:-1].rstrip()
    comma = b"" if body == b"{" else b","
    return b"%b%b%b:%b}" % (body, comma, orjson.dumps(key), value)


def without_fields(raw: bytes, dropped: AbstractSet[str]) -> bytes:
    """Return the object without these members: the very same bytes if it has none of them."""
    if dropped.isdisjoint(fields(raw)):
        return raw
    return without(raw, 0, frozenset(dropped))
