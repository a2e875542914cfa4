"""Tasks, in the two designs of MCP that share little but the word. Pure.

In 2025-11-25 they belong to the core (basic/utilities/tasks): the client asks for one with
`params.task`, and the task lives in the session with the server. In 2026-07-28 they are the
extension `io.modelcontextprotocol/tasks` (SEP-2663): the server decides, and answers
`resultType: "task"`. Each is passed on within its own era and never turned into the other.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields, with_field, without_fields

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
CORE_SINCE = "2025-11-25"
REQUIRED_CAPABILITIES: dict[str, Any] = {"extensions": {EXTENSION: {}}}
"""What a client must declare to use the extension."""
STATUS, CHANGED = "notifications/tasks/status", "notifications/tasks"
"""How a server tells of a task: of the core, and of the extension."""
CALL, LIST, CANCEL = "call", "list", "cancel"

OWN_ID = ("taskId",)
CREATED_ID = ("task", "taskId")
RELATED_ID = ("_meta", RELATED, "taskId")
"""Where the id of a task stands in results and parameters."""
Place = tuple[str, ...]


def declares_extension(capabilities: bytes) -> bool:
    """Say whether a client's capabilities hold the extension."""
    return fields(fields(capabilities).get("extensions", b"")).get(EXTENSION, b"")[:1] == b"{"


def without_tasks(capabilities: bytes) -> bytes:
    """Return a client's capabilities as a server of the other era may know them."""
    if b"tasks" not in capabilities:
        return capabilities
    extensions = fields(capabilities).get("extensions", b"")
    left = without_fields(extensions, {EXTENSION})
    if left is not extensions:
        capabilities = with_field(capabilities, "extensions", left)
    return without_fields(capabilities, {"tasks"})


def offers_extension(capabilities: Mapping[str, Any]) -> bool:
    """Say whether a server's capabilities hold the extension."""
    return isinstance(_at(capabilities, "extensions", EXTENSION), dict)


def core_operations(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """Return what a server of 2025-11-25 can do with tasks; nothing if no tool can be one."""
    if not isinstance(_at(capabilities, "tasks", "requests", "tools", "call"), dict):
        return frozenset()
    others = {name for name in (LIST, CANCEL) if isinstance(_at(capabilities, "tasks", name), dict)}
    return frozenset({CALL, *others})


def core_capability(operations: frozenset[str]) -> dict[str, Any]:
    """Return the capability that announces these operations."""
    capability: dict[str, Any] = {"requests": {"tools": {"call": {}}}}
    for name in sorted(operations - {CALL}):
        capability[name] = {}
    return capability


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def asks_for_task(params: bytes) -> bool:
    """Say whether a call is to run as a task of the core."""
    return b"task" in params and fields(params).get("task", b"")[:1] == b"{"


def id_at(raw: bytes, place: Place) -> str | None:
    """Return the id that stands at a place, if one does."""
    for key in place:
        raw = fields(raw).get(key, b"")
    return as_string(raw)


def renamed(raw: bytes, place: Place, rename: Callable[[str], str]) -> bytes:
    """Return an object with the id at a place exchanged; the very same bytes if there is none."""
    value = fields(raw).get(place[0], b"")
    if len(place) > 1:
        changed = renamed(value, place[1:], rename)
        return raw if changed is value else with_field(raw, place[0], changed)
    text = as_string(value)
    return raw if text is None else with_field(raw, place[0], orjson.dumps(rename(text)))
