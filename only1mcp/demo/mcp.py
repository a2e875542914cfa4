"""The least of MCP that a tool server needs, in both eras; for the standard library alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODERN, LEGACY = "2026-07-28", ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


@dataclass(frozen=True)
class Tool:
    """One tool: what it is called, what it takes, and the function behind it."""

    name: str
    description: str
    run: Callable[..., Any]
    properties: dict[str, Any]
    required: tuple[str, ...] = ()

    def listing(self) -> dict[str, Any]:
        """Return the tool as tools/list shows it."""
        schema: dict[str, Any] = {"type": "object", "properties": self.properties}
        if self.required:
            schema["required"] = list(self.required)
        return {
            "name": self.name, "description": self.description, "inputSchema": schema,
            "annotations": {"readOnlyHint": True},
        }  # fmt: skip


class RpcError(Exception):
    """An error response."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class DemoServer:
    """Answers MCP messages with a handful of tools."""

    def __init__(self, name: str, tools: list[Tool], *, modern: bool) -> None:
        self._info = {"name": name, "version": "1"}
        self._tools = {tool.name: tool for tool in tools}
        self._modern = modern

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the response to a message; None for a notification."""
        if "id" not in message:
            return None
        try:
            result = self._result(message["method"], message.get("params") or {})
        except RpcError as error:
            failure = {"code": error.code, "message": str(error)}
            return {"jsonrpc": "2.0", "id": message["id"], "error": failure}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
        if modern and not self._modern:
            raise RpcError(-32601, f"unknown method {method}")
        if method == "tools/call":
            return self._finish(self._call(params), modern)
        if method == "tools/list":
            listed = {"tools": [tool.listing() for tool in self._tools.values()]}
            return self._finish(listed, modern, cacheable=True)
        if modern and method == "server/discover":
            offer = {"supportedVersions": [MODERN], "capabilities": {"tools": {}},
                     "_meta": {"io.modelcontextprotocol/serverInfo": self._info}}  # fmt: skip
            return self._finish(offer, modern, cacheable=True)
        if not modern and method == "initialize":
            wanted = params.get("protocolVersion")
            version = wanted if wanted in LEGACY else LEGACY[-1]
            return {"protocolVersion": version, "capabilities": {"tools": {}},
                    "serverInfo": self._info}  # fmt: skip
        if not modern and method == "ping":
            return {}
        raise RpcError(-32601, f"unknown method {method}")

    @staticmethod
    def _finish(result: dict[str, Any], modern: bool, *, cacheable: bool = False) -> dict[str, Any]:
        if not modern:
            return result
        hints = {"ttlMs": 60_000, "cacheScope": "public"} if cacheable else {}
        return {"resultType": "complete", **result, **hints}

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        tool = self._tools.get(str(params.get("name")))
        if tool is None:
            raise RpcError(-32602, f"unknown tool {params.get('name')}")
        arguments = params.get("arguments") or {}
        unknown = set(arguments) - set(tool.properties)
        missing = set(tool.required) - set(arguments)
        if unknown or missing:
            what = f"missing {sorted(missing)}" if missing else f"unknown {sorted(unknown)}"
            return _text(f"wrong arguments: {what}", is_error=True)
        try:
            said = tool.run(**arguments)
        except (ValueError, TypeError, OSError, KeyError) as error:
            return _text(str(error), is_error=True)
        return _text(said if isinstance(said, str) else json.dumps(said))


def _text(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
