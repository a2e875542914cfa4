"""Arguments of a tool that are mirrored into headers `Mcp-Param-<Name>` (SEP-2243).

A tool marks them with `x-mcp-header` in its input schema, so that a proxy can route by them without
reading the body. Whoever does read the body makes sure that both say the same. Source: 2026-07-28,
basic/transports/streamable-http (Custom Headers from Tool Parameters).
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from only1mcp._speedups import elements, members
from only1mcp.errors import HeaderMismatch
from only1mcp.protocol.headers import decode_value, encode_value
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields

PREFIX = "Mcp-Param-"
_ANNOTATION = "x-mcp-header"
_TYPES = frozenset({"string", "integer", "boolean"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEMAS = frozenset(
    {"items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "allOf", "anyOf",
     "oneOf", "not", "if", "then", "else", "additionalProperties", "propertyNames",
     "unevaluatedProperties", "contentSchema"}
)  # fmt: skip
"""Keywords of JSON Schema whose value is a schema or a list of them."""
_NAMED_SCHEMAS = frozenset(
    {"patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)
"""Keywords whose value is an object of schemas. `properties` alone leads to arguments."""
_NUMBER = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?([eE][+-]?[0-9]{1,2})?")
_DECIMAL = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?")


@dataclass(frozen=True, slots=True)
class ParamHeader:
    """One argument that is mirrored."""

    name: str
    """What follows `Mcp-Param-`."""
    path: tuple[str, ...]
    """The keys that lead to it from the arguments."""
    type: str
    """`string`, `integer` or `boolean`."""


class InvalidAnnotation(ValueError):
    """The annotations of a tool break the rules; over HTTP such a tool must not be offered."""


def read_param_headers(tool: bytes) -> tuple[ParamHeader, ...]:
    """Return the arguments that a tool wants in headers, in the order of its schema.

    Raises:
        InvalidAnnotation: one of them cannot be there.
    """
    found: list[ParamHeader] = []
    _walk(fields(tool).get("inputSchema", b""), (), found)
    names: set[str] = set()
    for param in found:
        if param.name.lower() in names:
            raise InvalidAnnotation(f"the header {param.name[:100]!r} is wanted twice")
        names.add(param.name.lower())
    return tuple(found)


def _walk(schema: bytes, path: tuple[str, ...] | None, found: list[ParamHeader]) -> None:
    """Visit every schema inside a schema; no path is a place that arguments cannot be read from."""
    if b"x-mcp-header" not in schema and b"\\u" not in schema:
        return
    parts = fields(schema)
    if _ANNOTATION in parts:
        found.append(_read_annotation(parts, path))
    for keyword, value in parts.items():
        if keyword == "properties":
            for name, inner in fields(value).items():
                _walk(inner, None if path is None else (*path, name), found)
        elif keyword in _NAMED_SCHEMAS:
            for inner in fields(value).values():
                _walk(inner, None, found)
        elif keyword in _SCHEMAS:
            for inner in _listed(value):
                _walk(inner, None, found)


def _listed(value: bytes) -> Iterable[bytes]:
    if value[:1] != b"[":
        return (value,)
    return [value[start:end] for start, end in elements(value)]


def _read_annotation(parts: dict[str, bytes], path: tuple[str, ...] | None) -> ParamHeader:
    if not path:
        raise InvalidAnnotation("a header is wanted of what is no argument by itself")
    where = ".".join(path)[:100]
    name = as_string(parts[_ANNOTATION])
    if name is None or not _TOKEN.fullmatch(name):
        raise InvalidAnnotation(f"the header for {where!r} has a name that no header can have")
    kind = as_string(parts.get("type", b""))
    if kind not in _TYPES:
        raise InvalidAnnotation(f"{where!r} is neither string nor integer nor boolean")
    return ParamHeader(name, path, kind)


def check_param_headers(
    wanted: Sequence[ParamHeader], arguments: bytes | None, headers: Mapping[str, list[str]]
) -> None:
    """Make sure that headers and arguments agree; header names come in lower case.

    Raises:
        HeaderMismatch: they do not, or leave room for two readings.
    """
    values = _values(wanted, arguments)
    for param in wanted:
        header = PREFIX + param.name
        sent = headers.get(header.lower(), [])
        found = values.get(param.path, [])
        if len(sent) > 1:
            raise HeaderMismatch(f"header {header} stands more than once")
        if len(found) > 1:
            raise HeaderMismatch(f"the argument of header {header} stands more than once")
        _compare(header, sent[0] if sent else None, found[0] if found else b"")


def _compare(header: str, sent: str | None, value: bytes) -> None:
    text = _render(value)
    if text is None:
        if sent is not None:
            raise HeaderMismatch(f"header {header} is there, but its argument is not")
        return
    if sent is None:
        raise HeaderMismatch(f"header {header} is missing")
    if not all(" " <= c <= "~" or c == "\t" for c in sent):
        raise HeaderMismatch(f"header {header} holds a character that it must not")
    decoded = decode_value(sent)
    if decoded == text:
        return
    number = _number(value)
    if number is None or not _DECIMAL.fullmatch(decoded) or Decimal(decoded) != number:
        raise HeaderMismatch(f"header {header} differs from its argument")


def emit_param_headers(wanted: Sequence[ParamHeader], arguments: bytes | None) -> dict[str, str]:
    """Return the headers that belong to a call with these arguments."""
    values = _values(wanted, arguments)
    texts = {
        PREFIX + param.name: _render(values[param.path][-1])
        for param in wanted
        if param.path in values
    }
    return {header: encode_value(text) for header, text in texts.items() if text is not None}


def _values(
    wanted: Sequence[ParamHeader], arguments: bytes | None
) -> dict[tuple[str, ...], list[bytes]]:
    """Return what stands at the wanted paths: several values where a key stands twice."""
    ways = {param.path[: n + 1] for param in wanted for n in range(len(param.path))}
    found: dict[tuple[str, ...], list[bytes]] = {}
    ahead: deque[tuple[tuple[str, ...], bytes]] = deque()
    if ways:
        ahead.append(((), arguments or b""))
    while ahead:
        at, raw = ahead.popleft()
        for key, start, end in members(raw) if raw[:1] == b"{" else ():
            path = (*at, key)
            if path in ways:
                found.setdefault(path, []).append(raw[start:end])
                ahead.append((path, raw[start:end]))
    return found


def _render(value: bytes) -> str | None:
    """Return an argument as a header says it; None for null, and for what no header can say."""
    if value in (b"", b"null") or value[:1] in b"{[":
        return None
    if value[:1] == b'"':
        return as_string(value)
    number = _number(value)
    if number is not None and number == int(number):
        return str(int(number))
    return value.decode()


def _number(value: bytes) -> Decimal | None:
    """Return a number of reasonable size; others, such as 1e400, are compared as they stand."""
    text = value.decode()
    return Decimal(text) if _NUMBER.fullmatch(text) else None
