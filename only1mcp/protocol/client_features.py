"""What a client can be asked for: sampling, elicitation, roots, each with its parts.

The features stand in ClientCapabilities: of `initialize` in the legacy era, of each request's
`_meta` in the modern one. Source: client/sampling, client/elicitation and client/roots of
2025-11-25 and 2026-07-28.
"""

import enum
from typing import Any

import orjson

from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import ABSENT, fields

ELICITED = "notifications/elicitation/complete"
"""A URL was dealt with; the id is one that the server gave (2025-11-25, client/elicitation).

Neither clients nor servers of 2026-07-28 know such ids."""
ROOTS_LIST_CHANGED = "notifications/roots/list_changed"


class Feature(enum.IntFlag):
    """What a client declares; the numbers travel in sealed session ids and must not change."""

    SAMPLING = 1
    SAMPLING_TOOLS = 2
    SAMPLING_CONTEXT = 4
    ELICIT_FORM = 8
    ELICIT_URL = 16
    ROOTS = 32
    ROOTS_CHANGED = 64


_DECLARED: tuple[tuple[Feature, str, str | None], ...] = (
    (Feature.ELICIT_FORM, "elicitation", "form"),
    (Feature.ELICIT_URL, "elicitation", "url"),
    (Feature.ROOTS, "roots", None),
    (Feature.ROOTS_CHANGED, "roots", "listChanged"),
    (Feature.SAMPLING, "sampling", None),
    (Feature.SAMPLING_CONTEXT, "sampling", "context"),
    (Feature.SAMPLING_TOOLS, "sampling", "tools"),
)
"""Where each feature is declared: the capability, and the member of it if it is a part."""
_MODES = Feature.ELICIT_FORM | Feature.ELICIT_URL
_WITH_CONTEXT = ("thisServer", "allServers")


def read_features(capabilities: bytes) -> Feature:
    """Return what a ClientCapabilities object declares; what has the wrong type declares nothing.

    Elicitation that names no mode is elicitation by form: modes are younger than elicitation.
    """
    declared = {
        name: fields(value) for name, value in fields(capabilities).items() if value[:1] == b"{"
    }
    found = Feature(0)
    for feature, capability, part in _DECLARED:
        if capability in declared and (part is None or _is_on(part, declared[capability])):
            found |= feature
    if "elicitation" in declared and not found & _MODES:
        found |= Feature.ELICIT_FORM
    return found


def _is_on(part: str, capability: dict[str, bytes]) -> bool:
    value = capability.get(part, b"")
    return value == b"true" if part == "listChanged" else value[:1] == b"{"


def declare(features: Feature) -> bytes:
    """Write the ClientCapabilities that declare these features, always the same bytes."""
    return orjson.dumps(required_capabilities(features))


def required_capabilities(feature: Feature) -> dict[str, Any]:
    """Return ClientCapabilities as an object, as error -32021 puts it into its data."""
    declared: dict[str, Any] = {}
    for each, capability, part in _DECLARED:
        if each & feature:
            parts = declared.setdefault(capability, {})
            if part is not None:
                parts[part] = True if part == "listChanged" else {}
    return declared


def needed(method: str, params: bytes) -> Feature | None:
    """Return what a client must have declared for a server's request; None for other methods."""
    if method == "roots/list":
        return Feature.ROOTS
    given = fields(params)
    if method == "elicitation/create":
        by_url = as_string(given.get("mode", b"")) == "url"
        return Feature.ELICIT_URL if by_url else Feature.ELICIT_FORM
    if method != "sampling/createMessage":
        return None
    found = Feature.SAMPLING
    if any(given.get(key, b"") not in ABSENT for key in ("tools", "toolChoice")):
        found |= Feature.SAMPLING_TOOLS
    if as_string(given.get("includeContext", b"")) in _WITH_CONTEXT:
        found |= Feature.SAMPLING_CONTEXT
    return found
