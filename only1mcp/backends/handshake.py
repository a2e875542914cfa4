"""Finding out which era a backend speaks, and what it says of itself. Pure.

The probe is `server/discover`; what any answer to it proves stands in `judge_probe`. Source:
2026-07-28, basic/versioning (Detecting support) and basic/transports.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.errors import BackendProtocolError, UnsupportedProtocolVersion
from only1mcp.protocol.client_features import Feature, declare
from only1mcp.protocol.implementation import IMPLEMENTATION
from only1mcp.protocol.translate import owned_meta, write_object
from only1mcp.protocol.versions import (
    LEGACY_VERSIONS,
    MODERN_VERSIONS,
    NEWEST_LEGACY,
    Era,
)

_INFO = orjson.dumps(IMPLEMENTATION)
NO_CAPABILITIES = b"{}"


@dataclass(frozen=True, slots=True)
class Hello:
    """What a backend said when we met."""

    era: Era
    version: str
    capabilities: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    instructions: str = ""
    eras: frozenset[Era] = frozenset()
    """All eras it was seen to speak."""

    def also(self, era: Era) -> "Hello":
        """Return the same with one more era."""
        return replace(self, eras=self.eras | {era})


def discover() -> Outgoing:
    """Write the probe."""
    return modern_request("server/discover")


def modern_request(
    method: str, members: tuple[tuple[str, bytes], ...] = (), capabilities: bytes = NO_CAPABILITIES
) -> Outgoing:
    """Write a modern request of our own, with `params` members besides `_meta`."""
    meta = write_object(owned_meta(capabilities, _INFO))
    params = write_object([*members, ("_meta", meta)])
    return Outgoing(method, params, Era.MODERN, safe=True)


def own_request(method: str, era: Era, members: tuple[tuple[str, bytes], ...] = ()) -> Outgoing:
    """Write a request of our own in either era."""
    if era is Era.MODERN:
        return modern_request(method, members)
    return Outgoing(method, write_object(members) if members else b"", Era.LEGACY, safe=True)


def watch_request(method: str, uri: str) -> Outgoing:
    """Ask a legacy server to tell of a resource, or no longer to."""
    return own_request(method, Era.LEGACY, (("uri", orjson.dumps(uri)),))


def initialize(features: Feature = NOTHING) -> Outgoing:
    """Write the opening of a legacy session for clients with these features."""
    params = write_object(
        [
            ("protocolVersion", orjson.dumps(NEWEST_LEGACY)),
            ("capabilities", declare(features)),
            ("clientInfo", _INFO),
        ]
    )
    return Outgoing("initialize", params, Era.LEGACY)


def wants_another_version(reply: Envelope) -> bool:
    """Say whether a modern server refuses only the version, and knows one that we speak.

    Source: 2026-07-28, basic/versioning (UnsupportedProtocolVersionError, -32022).
    """
    error = _object(reply.body, reply.error_start, reply.error_end)
    data = error.get("data")
    supported = data.get("supported") if isinstance(data, dict) else None
    return (
        error.get("code") == UnsupportedProtocolVersion.code
        and isinstance(supported, list)
        and any(version in supported for version in MODERN_VERSIONS)
    )


def judge_probe(reply: Envelope) -> Hello | None:
    """Say what an answer to the probe proves: a modern backend, or None for a legacy one."""
    result = _object(reply.body, reply.result_start, reply.result_end)
    supported = result.get("supportedVersions")
    if not isinstance(supported, list):
        return None
    mutual = [version for version in MODERN_VERSIONS if version in supported]
    if not mutual:
        return None
    meta = result.get("_meta")
    info = meta.get("io.modelcontextprotocol/serverInfo") if isinstance(meta, dict) else None
    return _hello(Era.MODERN, mutual[-1], result, info)


def read_initialize(reply: Envelope) -> Hello:
    """Read the answer to `initialize`.

    Raises:
        BackendProtocolError: it is an error, or names a revision that we do not speak.
    """
    if not reply.result_end:
        error = _object(reply.body, reply.error_start, reply.error_end)
        raise BackendProtocolError(f"initialize was refused: {str(error.get('message'))[:200]}")
    result = _object(reply.body, reply.result_start, reply.result_end)
    version = result.get("protocolVersion")
    if version not in LEGACY_VERSIONS:
        raise BackendProtocolError(f"initialize was answered with version {str(version)[:40]!r}")
    return _hello(Era.LEGACY, str(version), result, result.get("serverInfo"))


def _hello(era: Era, version: str, result: dict[str, Any], info: object) -> Hello:
    capabilities = result.get("capabilities")
    instructions = result.get("instructions")
    return Hello(
        era=era,
        version=version,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        info=info if isinstance(info, dict) else {},
        instructions=instructions if isinstance(instructions, str) else "",
        eras=frozenset({era}),
    )


def _object(body: bytes, start: int, end: int) -> dict[str, Any]:
    if end <= start:
        return {}
    try:
        value = orjson.loads(body[start:end])
    except orjson.JSONDecodeError as error:  # valid JSON, such as 1e400, that orjson refuses
        raise BackendProtocolError(
            "the server's greeting cannot be read", detail=str(error)
        ) from None
    return value if isinstance(value, dict) else {}
