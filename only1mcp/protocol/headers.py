"""The MCP headers of one request, and the encoding of their values.

Source: 2026-07-28, basic/transports/streamable-http, Standard headers and Value encoding.
"""

import base64
from dataclasses import dataclass

from only1mcp.errors import HeaderMismatch

_OPEN, _CLOSE = "=?base64?", "?="


@dataclass(slots=True)
class McpHeaders:
    """What the headers of one request say; None where a header is absent."""

    version: str | None = None
    method: str | None = None
    name: str | None = None
    session: str | None = None
    repeated: tuple[str, ...] = ()
    """Those of them that stand more than once."""


def decode_value(value: str) -> str:
    """Undo the base64 form of a header value; a plain value is returned as it is.

    Raises:
        HeaderMismatch: the base64 form holds no base64 of UTF-8.
    """
    value = value.strip(" \t")
    if not (value.startswith(_OPEN) and value.endswith(_CLOSE)):
        return value
    try:
        raw = base64.b64decode(value[len(_OPEN) : -len(_CLOSE)], validate=True)
        return raw.decode()
    except ValueError as error:
        raise HeaderMismatch(
            "a header value in base64 form is not valid base64 of UTF-8"
        ) from error


def encode_value(value: str) -> str:
    """Give a value the form in which it may stand in a header."""
    plain = all(" " <= c <= "~" or c == "\t" for c in value)
    if plain and value == value.strip(" \t") and not value.startswith(_OPEN):
        return value
    return f"{_OPEN}{base64.b64encode(value.encode()).decode()}{_CLOSE}"
