"""From one era to the other: what is added to a request or result, and what is taken away.

Within one era nothing changes but the target's name. Across eras, `_meta` keys that belong to the
connection are dropped or supplied, and the members that only modern results have are added or
stripped. All else keeps its bytes.
"""

import re
from collections.abc import Iterable

import orjson

from only1mcp._speedups import Envelope, elements, members
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.versions import NEWEST_MODERN, Era

_OWN = "io.modelcontextprotocol/"
CONNECTION_KEYS = frozenset(
    _OWN + key for key in ("protocolVersion", "clientInfo", "clientCapabilities", "logLevel")
)
MODERN_RESULT_KEYS = frozenset({"resultType", "ttlMs", "cacheScope"})
CACHEABLE_METHODS = frozenset(
    {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list",
     "resources/read"}
)  # fmt: skip
_RETRY_KEYS = frozenset({"inputResponses", "requestState"})
_TASK = "task"
_NOT_ACROSS = CONNECTION_KEYS | {_OWN + "related-task"}
_HINTS = frozenset({"ttlMs", "cacheScope"})
NOT_CACHED = b'"ttlMs":0,"cacheScope":"private"'
RESOURCE_NOT_FOUND_LEGACY, INVALID_PARAMS, INTERNAL_ERROR = -32002, -32602, -32603
_CODE = re.compile(rb"-?[0-9]{1,18}")


def splice(data: bytes, start: int, end: int, value: bytes) -> bytes:
    """Replace one span."""
    return data[:start] + value + data[end:]


def write_object(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Write an object whose values are JSON already."""
    return b"{%b}" % b",".join(b"%b:%b" % (orjson.dumps(key), value) for key, value in parts)


def without(data: bytes, start: int, dropped: frozenset[str]) -> bytes:
    """Write the object at `start` again without some of its members."""
    kept = [(key, data[a:b]) for key, a, b in members(data, start) if key not in dropped]
    return write_object(kept)


def spliced_params(envelope: Envelope, start: int, end: int, name: bytes | None) -> bytes:
    """Return the parameters with the name at this span of the body replaced, if there is one."""
    body: bytes = envelope.body
    if name is None:
        return body[envelope.params_start : envelope.params_end]
    return body[envelope.params_start : start] + name + body[end : envelope.params_end]


def params_across(params: bytes, to: Era, owned: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """Return the parameters for a backend of the other era.

    Args:
        params: the client's parameters, their target spliced already; may be empty.
        to: the backend's era.
        owned: the `_meta` members that a modern backend must be given.
    """
    parts: list[tuple[str, bytes]] = []
    meta: list[tuple[str, bytes]] = []
    for key, start, end in members(params) if params else []:
        if key == _TASK or (to is Era.LEGACY and key in _RETRY_KEYS):
            continue  # a task of one era means nothing in the other
        if key == "_meta" and params[start : start + 1] == b"{":
            meta = [(k, params[a:b]) for k, a, b in members(params, start)]
        else:
            parts.append((key, params[start:end]))
    meta = [(key, value) for key, value in meta if key not in _NOT_ACROSS]
    if to is Era.MODERN:
        meta = [*owned, *meta]
    if meta:
        parts.append(("_meta", write_object(meta)))
    return write_object(parts)


def meta_for_legacy(meta: bytes) -> bytes:
    """Return a modern request's `_meta` for a legacy backend; it asks for no log messages."""
    return without(meta, 0, _NOT_ACROSS)


def owned_meta(capabilities: bytes, client_info: bytes) -> list[tuple[str, bytes]]:
    """Return the `_meta` members of 2026-07-28 that speak for a legacy client."""
    owned = [
        (_OWN + "protocolVersion", b'"%b"' % NEWEST_MODERN.encode()),
        (_OWN + "clientCapabilities", capabilities),
    ]
    if client_info:
        owned.insert(1, (_OWN + "clientInfo", client_info))
    return owned


def result_for_modern(envelope: Envelope, method: str) -> bytes:
    """Return a backend's result with the members that 2026-07-28 requires added where missing."""
    body: bytes = envelope.body
    start, end = envelope.result_start, envelope.result_end
    raw = body[start:end]
    if raw[:1] != b"{":
        return b'{"resultType":"complete"}'
    cacheable = method in CACHEABLE_METHODS and envelope.result_type in (None, "complete")
    if envelope.result_type is not None and not cacheable:
        return raw
    present = {key for key, _, _ in members(body, start)}
    added, dropped = [], set()
    if envelope.result_type is None:  # absent, or no string
        added.append(b'"resultType":"complete"')
        dropped.add("resultType")
    if cacheable and _HINTS - present:
        added.append(NOT_CACHED)
        dropped |= _HINTS
    kept = without(body, start, frozenset(dropped)) if dropped & present else raw
    return _prepend(kept, added)


def _prepend(raw: bytes, added: list[bytes]) -> bytes:
    if not added:
        return raw
    rest = raw[1:].lstrip(b" \t\r\n")
    return b"{" + b",".join(added) + (b"" if rest[:1] == b"}" else b",") + rest


def result_for_legacy(envelope: Envelope) -> bytes:
    """Return a backend's result without the members that only 2026-07-28 knows."""
    body: bytes = envelope.body
    start, end = envelope.result_start, envelope.result_end
    if body[start : start + 1] != b"{":
        return body[start:end]
    parts = []
    for key, a, b in members(body, start):
        if key in MODERN_RESULT_KEYS:
            continue
        if key == "_meta" and body[a : a + 1] == b"{":
            meta = without(body, a, frozenset({_OWN + "serverInfo"}))
            if meta != b"{}":
                parts.append((key, meta))
        else:
            parts.append((key, body[a:b]))
    return write_object(parts)


def error_for(envelope: Envelope, to: Era) -> tuple[int, bytes]:
    """Return a backend's error object for the client, and its code.

    Legacy servers say -32002 where 2026-07-28 says -32602 (server/resources, Error handling).
    """
    raw: bytes = envelope.body[envelope.error_start : envelope.error_end]
    code = error_code(raw)
    if code == RESOURCE_NOT_FOUND_LEGACY and to is Era.MODERN:
        changed = [
            (key, b"%d" % INVALID_PARAMS if key == "code" else raw[a:b])
            for key, a, b in members(raw)
        ]
        return INVALID_PARAMS, write_object(changed)
    return code, raw


def error_code(raw: bytes) -> int:
    """Return the code of an error object; -32603 when it has none."""
    if raw[:1] == b"{":
        code = {key: raw[start:end] for key, start, end in members(raw)}.get("code", b"")
        if _CODE.fullmatch(code):
            return int(code)
    return INTERNAL_ERROR


def items_of(envelope: Envelope, key: str) -> tuple[list[bytes], str | None]:
    """Return the raw items of a list result and its `nextCursor`."""
    body: bytes = envelope.body
    found: list[bytes] = []
    cursor: str | None = None
    if body[envelope.result_start : envelope.result_start + 1] != b"{":
        return found, cursor
    for name, start, end in members(body, envelope.result_start):
        if name == key and body[start : start + 1] == b"[":
            found = [body[a:b] for a, b in elements(body, start)]
        elif name == "nextCursor":
            cursor = as_string(body[start:end]) or None
    return found, cursor
