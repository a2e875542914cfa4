"""What the doors check and read of an HTTP request."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from only1mcp.auth.principal import Principal
from only1mcp.errors import NotAcceptable, UnsupportedMediaType
from only1mcp.ingress.held import Held
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Request

PRINCIPAL = web.RequestKey("principal", Principal)
"""Under this name a request says who sent it."""
JSON, EVENT_STREAM = "application/json", "text/event-stream"
_WEIGHT_ZERO = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)
_MCP = ("Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id")


def check_sends_json(request: web.BaseRequest) -> None:
    """Check the Content-Type (2025-11-25 and 2026-07-28, basic/transports), and the coding.

    Raises:
        UnsupportedMediaType: the body is not declared as plain JSON.
    """
    for coding in request.headers.getall("Content-Encoding", []):
        if coding.strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType(
                f"Content-Encoding {coding[:40]!r} is not supported",
                hint="send the body as it is, without a content coding",
            )
    if request.content_type != JSON:
        hint = f"send the header Content-Type: {JSON}, with an empty body too"
        raise UnsupportedMediaType(f"the body must be sent as Content-Type: {JSON}", hint=hint)
    if request.charset not in (None, "utf-8", "UTF-8"):
        raise UnsupportedMediaType("the body must be in UTF-8")


def check_accepts(request: web.BaseRequest, *wanted: str) -> None:
    """Check that the client accepts what it may be answered.

    Of the ranges that a type falls into, the narrowest decides (RFC 9110, 12.5.1).

    Raises:
        NotAcceptable: it does not.
    """
    accepted = _accepted(request.headers.getall("Accept", ["*/*"]))
    for kind in wanted:
        ranges = (kind, kind.partition("/")[0] + "/*", "*/*")
        if not next((accepted[one] for one in ranges if one in accepted), False):
            raise NotAcceptable(
                f"the client must accept {kind}", hint=f"send Accept: {', '.join(wanted)}"
            )


def _accepted(values: Iterable[str]) -> dict[str, bool]:
    """Say of each range of types whether it is wanted: a weight of 0 says that it is not."""
    accepted: dict[str, bool] = {}
    for part in ",".join(values).split(","):
        kind, *parameters = (piece.strip() for piece in part.lower().split(";"))
        is_wanted = not any(map(_WEIGHT_ZERO.fullmatch, parameters))
        accepted[kind] = accepted.get(kind, False) or is_wanted
    return accepted


@asynccontextmanager
async def body_of(request: web.BaseRequest, held: Held) -> AsyncIterator[bytes]:
    """Read the whole body; it counts as held for the time of the block.

    `request.read` has a limit of its own, below that of the guard.

    Raises:
        Overloaded: the worker holds too much already; none or not all of the body was read.
    """
    announced = request.content_length or 0
    held.check(announced, announced)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces, size = [], 0
    try:
        async for piece in request.content.iter_any():
            held.take(len(piece), max(announced, size + len(piece)))
            size += len(piece)
            pieces.append(piece)
        body = b"".join(pieces)
        pieces.clear()
        yield body
    finally:
        held.give(size)


def with_headers(request: web.BaseRequest, body: bytes) -> Request:
    """Put a body with the headers that matter."""
    values = [request.headers.getall(name, []) for name in _MCP]
    version, method, name, session = (found[0] if found else None for found in values)
    repeated = tuple(
        name.lower() for name, found in zip(_MCP, values, strict=True) if len(found) > 1
    )
    headers = McpHeaders(version, method, name, session, repeated)
    params: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if name[:10].lower() == "mcp-param-":
            params.setdefault(name.lower(), []).append(value)
    last_event_id = request.headers.get("Last-Event-ID")
    return Request(
        headers, body, request.remote or "", params, last_event_id, principal=request[PRINCIPAL]
    )
