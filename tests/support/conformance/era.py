"""Servers of only one era: the SDK serves both, so what belongs to the other is answered here."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_INVALID_REQUEST = -32600
_NO_SUCH_METHOD = -32601
_INVALID_PARAMS = -32602
_UNSUPPORTED_VERSION = -32022


def modern_only(app: App) -> App:
    """Answer like a server that has never known sessions: only POST, only the newest revision."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _version(scope) in MODERN_PROTOCOL_VERSIONS:
            await app(scope, receive, send)
        elif scope["method"] != "POST":
            await _reply(send, 405, b"", ((b"allow", b"POST"),))
        else:
            request = await _read(receive)
            await _refuse(send, request, _modern_refusal(request))

    return serve


def legacy_only(app: App) -> App:
    """Answer like a server from before server/discover: what it says of a version is "what?"."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        version = _version(scope) if scope["type"] == "http" else None
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await app(scope, receive, send)
            return
        request = await _read(receive)
        if request.get("method") == "server/discover":
            await _refuse(send, request, {"code": _NO_SUCH_METHOD, "message": "Method not found"})
        else:
            message = f"Bad Request: Unsupported protocol version: {version}"
            await _refuse(send, request, {"code": _INVALID_REQUEST, "message": message})

    return serve


def _modern_refusal(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("method") != "initialize":
        return {"code": _INVALID_PARAMS, "message": "params._meta is missing"}
    requested = request.get("params", {}).get("protocolVersion")
    return {
        "code": _UNSUPPORTED_VERSION, "message": "Unsupported protocol version",
        "data": {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": requested},
    }  # fmt: skip


def _version(scope: Message) -> str | None:
    headers: dict[bytes, bytes] = dict(scope["headers"]) if scope["type"] == "http" else {}
    value = headers.get(b"mcp-protocol-version")
    return None if value is None else value.decode("latin-1")


async def _read(receive: Receive) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    try:
        decoded = json.loads(body)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


async def _refuse(send: Send, request: dict[str, Any], error: dict[str, Any]) -> None:
    body = {"jsonrpc": "2.0", "id": request.get("id"), "error": error}
    await _reply(send, 400, json.dumps(body).encode(), ((b"content-type", b"application/json"),))


async def _reply(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
