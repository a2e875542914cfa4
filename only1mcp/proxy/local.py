"""What we answer ourselves: the greeting in both eras, and the lists."""

from typing import Any

import orjson

from only1mcp._speedups import Envelope, members
from only1mcp.errors import InvalidParams
from only1mcp.memory.session_marks import SessionMarks
from only1mcp.protocol.implementation import IMPLEMENTATION
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.log_levels import LEVELS, severity
from only1mcp.protocol.pages import decode_cursor
from only1mcp.protocol.task_members import EXTENSION, core_capability
from only1mcp.protocol.versions import MODERN_VERSIONS, Era, negotiate
from only1mcp.registry.snapshot import Snapshot
from only1mcp.sessions.session import Session, SessionSealer

_MAX_INSTRUCTIONS = 16_000


_TOLD: dict[str, dict[str, bool]] = {
    "tools": {"listChanged": True},
    "resources": {"listChanged": True},
    "prompts": {"listChanged": True},
    "completions": {},
    "logging": {},
}


def capabilities(snapshot: Snapshot) -> dict[str, Any]:
    """Return what all servers together can do, as far as we pass it on.

    Lists change when a server comes or goes, whatever it announces itself; resources can be watched
    when one server can tell of their updates.
    """
    offered: dict[str, Any] = {}
    for catalogue in snapshot.catalogues.values():
        for name in _TOLD.keys() & catalogue.capabilities.keys():
            offered.setdefault(name, dict(_TOLD[name]))
            if name == "resources" and _has(catalogue.capabilities[name], "subscribe"):
                offered[name]["subscribe"] = True
    return offered


def _has(capability: object, what: str) -> bool:
    return isinstance(capability, dict) and bool(capability.get(what))


def set_level(envelope: Envelope, session: Session, marks: SessionMarks, now: int) -> int:
    """Remember from which level on a legacy client wants log messages, and return that.

    Raises:
        InvalidParams: there is no such level.
    """
    wanted = severity(as_string(_params(envelope).get("level", b"")) or "")
    if wanted is None:
        raise InvalidParams("params.level is not a log level", hint=f"one of {', '.join(LEVELS)}")
    marks.set_level(session.serial, session.expires, wanted, now)
    return wanted


def instructions(snapshot: Snapshot) -> str:
    """Return the servers' instructions, each under its server's id."""
    said = [
        f"## {catalogue.server_id}\n{catalogue.instructions}"
        for catalogue in snapshot.catalogues.values()
        if catalogue.instructions
    ]
    return "\n\n".join(said)[:_MAX_INSTRUCTIONS]


def discover(snapshot: Snapshot) -> bytes:
    """Write the result of `server/discover` (2026-07-28, server/discover)."""
    result: dict[str, Any] = {
        "resultType": "complete",
        "supportedVersions": list(MODERN_VERSIONS),
        "capabilities": capabilities(snapshot),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": IMPLEMENTATION},
    }
    if snapshot.has_task_extension:
        result["capabilities"]["extensions"] = {EXTENSION: {}}
    if text := instructions(snapshot):
        result["instructions"] = text
    return orjson.dumps(result)


def initialize(
    envelope: Envelope, snapshot: Snapshot, sealer: SessionSealer, now: int, principal: str = ""
) -> tuple[bytes, Session]:
    """Open a legacy session: returns the result and the session to seal.

    Raises:
        InvalidParams: the client says nothing, or too much, about itself.
    """
    params = _params(envelope)
    requested = as_string(params.get("protocolVersion", b""))
    if requested is None:
        raise InvalidParams("params.protocolVersion must be a string")
    version = negotiate(requested)
    own = params.get("capabilities", b"{}")
    if not own.startswith(b"{"):
        raise InvalidParams("params.capabilities must be an object")
    session = sealer.create(version, own, params.get("clientInfo", b""), now, principal)
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": capabilities(snapshot),
        "serverInfo": IMPLEMENTATION,
    }
    if session.knows_tasks and snapshot.core_tasks:
        result["capabilities"]["tasks"] = core_capability(snapshot.core_tasks)
    if text := instructions(snapshot):
        result["instructions"] = text
    return orjson.dumps(result), session


def list_page(
    envelope: Envelope, key: str, era: Era, snapshot: Snapshot, *, core_tasks: bool = False
) -> bytes:
    """Return one page of a merged list; `core_tasks` says whether the client knows such.

    Raises:
        InvalidParams: the cursor is not one of ours.
    """
    cursor, offset = _params(envelope).get("cursor"), 0
    if cursor is not None:
        offset = decode_cursor(as_string(cursor), len(snapshot.lists[key]), snapshot.page_size)
    return snapshot.page(key, era, offset, core_tasks=core_tasks)


def _params(envelope: Envelope) -> dict[str, bytes]:
    """Return the raw members of the parameters."""
    if not envelope.params_end:
        return {}
    body: bytes = envelope.body
    return {key: body[a:b] for key, a, b in members(body, envelope.params_start)}
