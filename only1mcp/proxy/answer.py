"""[6] A reply or a failure → bytes and status."""

from only1mcp._speedups import Envelope
from only1mcp.errors import BackendProtocolError, Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.structured import result_for_legacy_client
from only1mcp.protocol.translate import error_for, result_for_legacy, result_for_modern
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Answer

_MODERN_ERROR_STATUS = {-32601: 404, -32020: 400, -32021: 400, -32022: 400}
"""2026-07-28, basic/index (Error codes): these have an HTTP status of their own."""
ACCEPTED = Answer(202, b"")


def success(request_id: bytes, result: bytes) -> Answer:
    """Answer with a result of our own."""
    return Answer(200, jsonrpc.result(request_id, result))


def failure(request_id: bytes | None, error: Only1MCPError, client: Era) -> Answer:
    """Answer with a failure of ours; without an id, what came was no request."""
    in_band = client is Era.LEGACY and request_id is not None
    status = error.legacy_status if in_band else error.http_status
    return Answer(status, jsonrpc.error_from(request_id, error), headers=error.headers)


def relay(
    request_id: bytes, reply: Envelope, method: str, client: Era, leg: Era, wraps_output: bool
) -> tuple[Answer, str]:
    """Answer with what a backend replied, in the client's era; also says the metric status.

    Args:
        request_id: the client's id of the request, as JSON.
        reply: the backend's response.
        method: what was asked.
        client: the era that the client speaks.
        leg: the era that was spoken to the backend.
        wraps_output: whether a legacy client expects the tool's output inside an object.

    Raises:
        BackendProtocolError: the reply cannot be put to a client of this era, or to any.
    """
    if not reply.result_end:
        code, raw = error_for(reply, client)
        if not raw.startswith(b"{"):
            raise BackendProtocolError(
                "the server answered with an error that is no object", detail=repr(raw[:200])
            )
        status = _MODERN_ERROR_STATUS.get(code, 200) if client is Era.MODERN else 200
        return Answer(status, jsonrpc.error(request_id, raw)), "error"
    if client is Era.MODERN:
        result = result_for_modern(reply, method)
    elif leg is Era.MODERN:
        if reply.result_type not in (None, "complete"):
            raise BackendProtocolError(
                f"the server wants {reply.result_type!r} of the client, "
                "which this client's revision cannot give"
            )
        result = result_for_legacy(reply)
        if method == "tools/call":
            result = result_for_legacy_client(result, wraps_output)
    else:
        result = reply.body[reply.result_start : reply.result_end]
    return Answer(200, jsonrpc.result(request_id, result)), "ok"
