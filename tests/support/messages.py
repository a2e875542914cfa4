"""MCP messages as clients of both eras write them."""

import json
from typing import Any

from only1mcp.protocol.headers import McpHeaders

MODERN = "2026-07-28"
OWN = "io.modelcontextprotocol/"
META = {OWN + "protocolVersion": MODERN, OWN + "clientCapabilities": {}}


def modern(method: str, params: dict[str, Any] | None = None, *, request_id: object = 1) -> bytes:
    """Write a request of 2026-07-28."""
    whole = {**(params or {}), "_meta": {**META, **(params or {}).get("_meta", {})}}
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": whole})


def legacy(method: str, params: dict[str, Any] | None = None, *, request_id: object = 1) -> bytes:
    """Write a request of a revision with sessions."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params is not None:
        message["params"] = params
    return encode(message)


def notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    """Write a notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return encode(message)


def modern_headers(method: str, name: str | None = None) -> McpHeaders:
    """Return the headers that belong to a modern request."""
    return McpHeaders(version=MODERN, method=method, name=name)


def encode(value: object) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()
