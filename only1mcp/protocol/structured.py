"""Tools and their structured results, from one era to the other.

A modern tool may return any JSON value and describe it by any schema; a legacy client knows objects
only. So a value of another kind is put into an object, `{"result": …}`, and its schema likewise.
Source: 2026-07-28, server/tools (Structured Content), against 2025-11-25.
"""

import orjson

from only1mcp._speedups import elements, members
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import ABSENT, fields, with_field, without_fields
from only1mcp.protocol.translate import write_object

_BELOW = "#/properties/result"
"""Where the root of a wrapped schema has gone."""
_REFERENCES = frozenset({"$ref", "$dynamicRef"})
_DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose value is data: what looks like a reference in it is none."""
_NAMED = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)
"""Keywords whose value holds schemas under names, which may look like keywords."""


def wraps_output(tool: bytes) -> bool:
    """Say whether a legacy client sees this tool's results wrapped, whatever their value."""
    return _has_other_root(fields(tool).get("outputSchema", b""))


def tool_for_legacy(tool: bytes) -> bytes:
    """Return a tool whose output schema a legacy client can read."""
    schema = fields(tool).get("outputSchema", b"")
    return with_field(tool, "outputSchema", _wrap(schema)) if _has_other_root(schema) else tool


def _has_other_root(schema: bytes) -> bool:
    return schema[:1] == b"{" and as_string(fields(schema).get("type", b"")) != "object"


def _wrap(schema: bytes) -> bytes:
    dialect = fields(schema).get("$schema", b"")
    parts = [("$schema", dialect)] if dialect[:1] == b'"' else []
    result = write_object([("result", _moved(schema, named=False))])
    return write_object(
        [*parts, ("type", b'"object"'), ("properties", result), ("required", b'["result"]')]
    )


def _moved(raw: bytes, *, named: bool) -> bytes:
    """Return a part of a schema with references from its old root to its new one.

    Args:
        raw: the part.
        named: whether its keys are names of schemas, not keywords.
    """
    if b"#" not in raw and b"\\u" not in raw:
        return raw
    spans: list[tuple[str, int, int]] = []
    if raw[:1] == b"[":
        spans = [("", start, end) for start, end in elements(raw)]
    elif raw[:1] == b"{" and (named or not _is_root_of_its_own(raw)):
        spans = members(raw)
    pieces, at = [], 0
    for key, start, end in spans:
        pieces += [raw[at:start], _moved_member("" if named else key, raw[start:end])]
        at = end
    return b"".join([*pieces, raw[at:]])


def _moved_member(keyword: str, value: bytes) -> bytes:
    if keyword in _REFERENCES:
        target = as_string(value) or ""
        if target == "#" or target.startswith("#/"):
            return orjson.dumps(_BELOW + target[1:])
        return value
    return value if keyword in _DATA else _moved(value, named=keyword in _NAMED)


def _is_root_of_its_own(schema: bytes) -> bool:
    """Say whether references inside a schema start at itself: an `$id` other than an anchor."""
    name = as_string(fields(schema).get("$id", b""))
    return name is not None and not name.startswith("#")


def takes_tasks(tool: bytes) -> bool:
    """Say whether a tool of 2025-11-25 may run as a task; it may not unless it says so."""
    support = fields(fields(tool).get("execution", b"")).get("taskSupport", b"")
    return as_string(support) in ("optional", "required")


def may_repeat(tool: bytes) -> bool:
    """Say whether a tool may run twice where once was meant; it may not unless it says so."""
    hints = fields(fields(tool).get("annotations", b""))
    return b"true" in (hints.get("readOnlyHint"), hints.get("idempotentHint"))


def only_reads(tool: bytes) -> bool:
    """Say whether a tool says that it changes nothing."""
    return fields(fields(tool).get("annotations", b"")).get("readOnlyHint") == b"true"


def without_task_support(tool: bytes) -> bytes:
    """Return a tool that does not offer tasks: the designs of the eras cannot be converted."""
    execution = fields(tool).get("execution", b"")
    left = without_fields(execution, {"taskSupport"})
    if left is execution:
        return tool
    if left == b"{}":
        return without_fields(tool, {"execution"})
    return with_field(tool, "execution", left)


def result_for_legacy_client(result: bytes, wrapped: bool) -> bytes:
    """Return a tool's result with structured content that a legacy client can read.

    Content is required of a result, and is all that the oldest clients read: where there is none,
    the structured content stands in as text.

    Args:
        result: the raw result.
        wrapped: whether the tool's output schema was wrapped (`wraps_output`).
    """
    found = fields(result)
    value = found.get("structuredContent")
    if value is None:
        return result
    if wrapped or value[:1] != b"{":
        result = with_field(result, "structuredContent", write_object([("result", value)]))
    content = found.get("content", b"")
    if content in ABSENT or (content[:1] == b"[" and not elements(content)):
        text = b'[{"type":"text","text":%b}]' % orjson.dumps(value.decode())
        result = with_field(result, "content", text)
    return result
