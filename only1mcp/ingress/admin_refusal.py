"""The one form in which the admin API says no, whichever of our processes says it.

It is that of the command line's own JSON: a code in capitals, a message, and a hint that may be
empty. Who speaks MCP is refused in JSON-RPC; nobody who asks here does.
"""

from typing import Any

import orjson

from only1mcp.errors import Only1MCPError
from only1mcp.protocol import jsonrpc

PREFIX = "/api/v1/admin/"


def refusal(code: str, message: str, hint: str = "", **more: Any) -> dict[str, Any]:
    """Write a refusal."""
    return {"error": {"code": code, "message": message, "hint": hint, **more}}


def refusal_at(path: str, error: Only1MCPError) -> bytes:
    """Write one of our failures in the form that is expected at a path."""
    if not path.startswith(PREFIX):
        return jsonrpc.error_from(None, error)
    return orjson.dumps(refusal(error.reason.upper(), str(error), error.hint or ""))
