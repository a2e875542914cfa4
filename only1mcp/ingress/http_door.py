"""The door that aiohttp keeps: every path of the data port, on top of the guard."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
from aiohttp import web

from only1mcp.backends.call import Cancel
from only1mcp.errors import (
    ClientError,
    Forbidden,
    NotAcceptable,
    Only1MCPError,
    UnsupportedMediaType,
)
from only1mcp.ingress.http_exchange import HttpExchange
from only1mcp.ingress.origin import OriginCheck
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.versions import MODERN_VERSIONS
from only1mcp.proxy.exchange import Exchange, Request

_MCP = ("Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id")
_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
ADMIN_PREFIX = "/api/v1/admin/"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class NotFound(ClientError):
    """There is nothing at this path."""

    code = -32600
    http_status = 404
    reason = "not_found"


class Service(Protocol):
    """What the door leads to."""

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one MCP message."""

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a legacy session, or resume one."""

    def end_session(self, request: Request) -> None:
        """End the legacy session that the request names."""

    def health(self) -> tuple[int, bytes]:
        """Return the status and JSON body of /health."""

    def ready(self) -> bool:
        """Say whether requests can be served."""

    def metrics(self) -> bytes:
        """Return the exposition of all metrics."""

    async def admin(self, path: str) -> tuple[int, bytes]:
        """Return status and JSON body of one read of the admin API."""


class HttpDoor:
    """Turns HTTP requests into calls of the service, and its answers into responses."""

    def __init__(self, service: Service, origins: OriginCheck) -> None:
        self._service = service
        self._origins = origins
        self.draining = False
        """Set while the worker stops: each response closes its connection."""
        self._routes: dict[str, dict[str, Handler]] = {
            "/mcp": {"POST": self._post, "GET": self._stream, "DELETE": self._delete},
            "/health": {"GET": self._health},
            "/livez": {"GET": self._live},
            "/readyz": {"GET": self._ready},
            "/metrics": {"GET": self._metrics},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request; the entry that aiohttp calls."""
        try:
            self._origins.check(request.headers.get("Host", ""), request.headers.get("Origin"))
            response = await self._route(request)
        except Only1MCPError as error:
            response = _json(error.http_status, jsonrpc.error_from(None, error))
        if self.draining:
            response.force_close()
        return response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.startswith(ADMIN_PREFIX):
            methods: dict[str, Handler] = {"GET": self._admin}
        else:
            methods = self._routes.get(path, {})
        if not methods:
            raise NotFound(f"nothing is at {path[:200]}", hint="the MCP endpoint is /mcp")
        method = "GET" if request.method == "HEAD" and path != "/mcp" else request.method
        handler = methods.get(method)
        if handler is None:
            return _not_allowed(request, list(methods))
        return await handler(request)

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        _check_types(request)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # `request.read` has a limit of its own, below ours; the guard has bounded the body.
        inbound = _read(request, await request.content.read())
        exchange = HttpExchange()
        return await _respond(request, exchange, self._service.handle(inbound, exchange))

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Open a stream on which a legacy session hears what belongs to no request of its own."""
        inbound = _read(request, b"")
        if inbound.headers.version in MODERN_VERSIONS:
            return _not_allowed(request, ["POST"])
        if not _accepts(request, "text/event-stream"):
            raise NotAcceptable(
                "the client must accept text/event-stream",
                hint="send Accept: text/event-stream",
            )
        exchange = HttpExchange()
        return await _respond(request, exchange, self._service.stream(inbound, exchange))

    async def _delete(self, request: web.BaseRequest) -> web.StreamResponse:
        self._service.end_session(_read(request, b""))
        return web.Response(status=200)

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        status, body = self._service.health()
        return _json(status, body)

    async def _live(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(text="ok\n")

    async def _ready(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        if self._service.ready() and not self.draining:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="draining\n" if self.draining else "starting\n")

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(
            body=self._service.metrics(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _admin(self, request: web.BaseRequest) -> web.StreamResponse:
        """Without authentication the admin API answers reads, to direct callers on this host."""
        if not _is_loopback(request.remote) or any(name in request.headers for name in _FORWARDING):
            raise Forbidden("the admin API answers direct callers on this host only")
        status, body = await self._service.admin(request.rel_url.raw_path)
        return _json(status, body)


def _check_types(request: web.BaseRequest) -> None:
    """Check Content-Type and Accept (2025-11-25 and 2026-07-28, basic/transports)."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType("the body must be sent as Content-Type: application/json")
    if request.charset not in (None, "utf-8", "UTF-8"):
        raise UnsupportedMediaType("the body must be in UTF-8")
    for wanted in ("application/json", "text/event-stream"):
        if not _accepts(request, wanted):
            raise NotAcceptable(
                f"the client must accept {wanted}",
                hint="send Accept: application/json, text/event-stream",
            )


def _accepts(request: web.BaseRequest, wanted: str) -> bool:
    accepted = {
        part.partition(";")[0].strip().lower()
        for value in request.headers.getall("Accept", ["*/*"])
        for part in value.split(",")
    }
    return bool(accepted & {wanted, wanted.partition("/")[0] + "/*", "*/*"})


async def _respond(
    request: web.BaseRequest, exchange: HttpExchange, cancel: Cancel
) -> web.StreamResponse:
    """Send what the exchange gets; whoever is behind it hears of a client that goes first."""
    try:
        return await exchange.respond(request)
    except BaseException:
        cancel()
        raise


def _read(request: web.BaseRequest, body: bytes) -> Request:
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
    return Request(headers, body, request.remote or "", params, last_event_id)


def _is_loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _not_allowed(request: web.BaseRequest, allowed: list[str]) -> web.Response:
    message = f"{request.method[:20]} is not allowed here"
    response = _json(405, jsonrpc.error(None, orjson.dumps({"code": -32600, "message": message})))
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _json(status: int, body: bytes) -> web.Response:
    if not body:
        return web.Response(status=status)
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
