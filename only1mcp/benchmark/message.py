"""The calls as bytes, and whether an answer is the right one.

Ids are numbers of ten digits and nonces contain them, so that all calls are equally long and
writing one is a single join.
"""

import json
import secrets
from typing import Any

import orjson

from only1mcp import __version__
from only1mcp.benchmark.plan import MODERN, Plan, Target
from only1mcp.benchmark.response import Response
from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.headers import encode_value

MODERN_VERSION, LEGACY_VERSION = "2026-07-28", "2025-11-25"
FIRST = 1_000_000_000
"""The first id. A run has room for nine billion."""
_NONCE, _NUMBER = "{nonce}", '"{number}"'
_MARK = "\0"
"""Where a number goes; JSON as json writes it never contains this."""
_MAX_EVENT = 1 << 26
_INFO = {"name": "only1mcp-benchmark", "version": __version__}
OK = "ok"


class Messages:
    """Writes one plan's calls and checks what answers them.

    Args:
        plan: what is called.
        target: where.
        session: the legacy session, once it is open.
    """

    def __init__(self, plan: Plan, target: Target, session: bytes | None = None) -> None:
        self._target = target
        self._is_call = plan.tool is not None
        self._method = "tools/call" if self._is_call else "tools/list"
        self._token = secrets.token_hex(4)
        params: dict[str, Any] = {}
        arguments = json.dumps(plan.parsed_arguments, ensure_ascii=False)
        self._prefix = f"{self._token}-" if _NONCE in arguments else ""
        self._is_marked = _NONCE in arguments or _NUMBER in arguments
        if plan.tool is not None:
            params = {"name": plan.tool, "arguments": json.loads(arguments)}
        headers = {"MCP-Protocol-Version": LEGACY_VERSION}
        if plan.era == MODERN:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
                "io.modelcontextprotocol/clientInfo": _INFO,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            headers = {"MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": self._method}
            if plan.tool is not None:
                headers["Mcp-Name"] = encode_value(plan.tool)
        elif session is not None:
            headers["Mcp-Session-Id"] = session.decode("latin-1")
        message = {"jsonrpc": "2.0", "id": "{number}", "method": self._method, "params": params}
        self._pieces = self._cut(message, headers)

    def write(self, number: int) -> bytes:
        """Return a call as bytes."""
        return (b"%d" % number).join(self._pieces)

    def judge(self, number: int, response: Response) -> tuple[str, str]:
        """Return `ok` or the kind of failure, and details of the latter."""
        kind = self._judge(number, response)
        if kind == OK:
            return OK, ""
        said = response.body[:300].decode(errors="replace").strip()
        return kind, f"{number} was answered by {said}"

    def _judge(self, number: int, response: Response) -> str:
        if response.status != 200:
            return f"HTTP {response.status}"
        message = read_message(response, number)
        if message is None:
            return "no JSON-RPC answer"
        if message.get("id") != number:
            return "answer with another id"
        result = message.get("result")
        if isinstance(result, dict):
            return self._judge_result(number, result)
        error = message.get("error")
        return f"error {error.get('code') if isinstance(error, dict) else error}"

    def _judge_result(self, number: int, result: dict[str, Any]) -> str:
        if not self._is_call:
            return OK if isinstance(result.get("tools"), list) else "no list of tools"
        if result.get("isError"):
            return "tool error"
        if self._is_marked and not _contains(result, f"{self._prefix}{number}"):
            return "answer without the nonce"
        return OK

    def _cut(self, message: dict[str, Any], headers: dict[str, str]) -> list[bytes]:
        text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        text = text.replace(_NUMBER, _MARK).replace(_NONCE, f"{self._token}-{_MARK}")
        pieces = text.encode().split(_MARK.encode())
        digits = len(str(FIRST)) * (len(pieces) - 1)
        pieces[0] = head(self._target, headers, sum(map(len, pieces)) + digits) + pieces[0]
        return pieces


def head(target: Target, headers: dict[str, str], length: int) -> bytes:
    """Write the head of a POST."""
    key = {} if target.key is None else {"Authorization": f"Bearer {target.key}"}
    lines = {
        "Host": target.authority, "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream", **key, **headers,
        "Content-Length": str(length),
    }  # fmt: skip
    fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{fields}\r\n".encode("latin-1")


def opening(target: Target) -> bytes:
    """Write the request that opens a legacy session."""
    params = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": _INFO}
    return _post(
        target, {}, {"jsonrpc": "2.0", "id": FIRST - 1, "method": "initialize", "params": params}
    )


def opened(target: Target, session: bytes | None) -> bytes:
    """Write the notification that the session is open."""
    headers = {"MCP-Protocol-Version": LEGACY_VERSION}
    if session is not None:
        headers["Mcp-Session-Id"] = session.decode("latin-1")
    return _post(target, headers, {"jsonrpc": "2.0", "method": "notifications/initialized"})


def read_message(response: Response, number: int) -> dict[str, Any] | None:
    """Return the message that a response carries; of a stream, the one that answers."""
    bodies = [response.body]
    if response.is_stream:
        bodies = [event.data for event in EventReader(_MAX_EVENT).feed(response.body)]
    last = None
    for body in bodies:
        try:
            message = orjson.loads(body)
        except ValueError:
            continue
        if isinstance(message, dict):
            last = message
            if message.get("id") == number and "method" not in message:
                break
    return last


def _post(target: Target, headers: dict[str, str], message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return head(target, headers, len(body)) + body


def _contains(result: dict[str, Any], nonce: str) -> bool:
    content = result.get("content")
    if not isinstance(content, list):
        return False
    return any(isinstance(part, dict) and nonce in str(part.get("text")) for part in content)
