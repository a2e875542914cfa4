"""JSON-RPC 2.0 messages as bytes. Ids and results are spliced in as they were received."""

from typing import Any

import orjson

from only1mcp.errors import Only1MCPError


def request(request_id: bytes, method: str, params: bytes) -> bytes:
    """Write a request; `params` is a JSON object or empty."""
    if not params:
        return b'{"jsonrpc":"2.0","id":%b,"method":"%b"}' % (request_id, method.encode())
    return b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":%b}' % (
        request_id, method.encode(), params,
    )  # fmt: skip


def notification(method: str, params: bytes = b"") -> bytes:
    """Write a notification; `params` is a JSON object or empty."""
    if not params:
        return b'{"jsonrpc":"2.0","method":"%b"}' % method.encode()
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def result(request_id: bytes, value: bytes) -> bytes:
    """Write a successful response around a result that is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, value)


def response(request_id: bytes, member: bytes) -> bytes:
    """Write a response around its member `"result":…` or `"error":…`."""
    return b'{"jsonrpc":"2.0","id":%b,%b}' % (request_id, member)


def error(request_id: bytes | None, value: bytes) -> bytes:
    """Write an error response around an error object that is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id or b"null", value)


def as_string(raw: bytes) -> str | None:
    """Return the text of a JSON string that was scanned before; None for any other value.

    Other values are not parsed: `1e400` is JSON, and passes through us, yet orjson refuses it.
    """
    return str(orjson.loads(raw)) if raw[:1] == b'"' else None


def error_from(request_id: bytes | None, failure: Only1MCPError) -> bytes:
    """Write an error response for one of our own failures; the hint ends the message."""
    return response(request_id or b"null", error_member(failure))


def error_member(failure: Only1MCPError) -> bytes:
    """Write the member `"error":…` of one of our own failures."""
    message = str(failure)
    if failure.hint:
        message = f"{message}. hint: {failure.hint}"
    value: dict[str, Any] = {"code": failure.code, "message": message}
    if failure.data is not None:
        value["data"] = failure.data
    return b'"error":' + orjson.dumps(value)
