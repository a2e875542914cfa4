"""The door that aiohttp keeps: every path of the data port, on top of the guard."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from only1mcp.auth.access import Access
from only1mcp.errors import ClientError, Only1MCPError
from only1mcp.ingress.admin_door import AdminDoor
from only1mcp.ingress.admin_refusal import PREFIX as ADMIN_PREFIX
from only1mcp.ingress.admin_refusal import refusal_at
from only1mcp.ingress.cors import GRANTED, allowed, granted
from only1mcp.ingress.held import Held
from only1mcp.ingress.http_exchange import HttpExchange, respond
from only1mcp.ingress.http_request import (
    EVENT_STREAM,
    JSON,
    PRINCIPAL,
    body_of,
    check_accepts,
    check_sends_json,
    with_headers,
)
from only1mcp.ingress.origin import OriginCheck
from only1mcp.ingress.pages import PATHS, PUBLIC, Pages
from only1mcp.ingress.service import Service
from only1mcp.protocol.versions import MODERN_VERSIONS

_ASKED = "Access-Control-Request-Method"
"""The header by which a browser asks before it sends what a page wants to send."""
WELL_KNOWN = "/.well-known/"
"""Where clients look for how to get credentials; that there is nothing must be told to all."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class NotFound(ClientError):
    """There is nothing at this path."""

    code = -32600
    http_status = 404
    reason = "not_found"


class NotAllowed(ClientError):
    """There is something at this path, but not for this method."""

    code = -32600
    http_status = 405
    reason = "method_not_allowed"


class HttpDoor:
    """Turns HTTP requests into calls of the service, and its answers into responses.

    Args:
        service: answers them.
        origins: says who may speak at all.
        access: says who it is.
        others: the paths of other doors, each with the methods that it knows.
        held: bounds the bodies.
    """

    def __init__(
        self, service: Service, origins: OriginCheck, access: Access,
        others: Mapping[str, Mapping[str, Handler]] | None = None, held: Held | None = None,
    ) -> None:  # fmt: skip
        self._service = service
        self.pages = Pages(service)
        """Read under any host: probes know no more than the address."""
        self._held = held or Held()
        self._desk = AdminDoor(service, access, self._held)
        self._origins = origins
        self._access = access
        self._routes: dict[str, Mapping[str, Handler]] = {
            "/mcp": {"POST": self._post, "GET": self._stream, "DELETE": self._delete},
            **(others or {}),
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request; the entry that aiohttp calls."""
        try:
            self._admit(request)
            response = await self._route(request)
        except Only1MCPError as error:
            response = _json(error.http_status, refusal_at(request.rel_url.raw_path, error))
            response.headers.update(error.headers)
            if error.http_status == 503:
                response.headers["Retry-After"] = "1"
        if GRANTED in request and not response.prepared:
            response.headers.update(request[GRANTED])
        if self.pages.draining or "websocket" in request.headers.get("Upgrade", "").lower():
            response.force_close()  # what follows an upgrade that was declined is no request
        return response

    def _admit(self, request: web.BaseRequest) -> None:
        """Check who asks, and note what a browser is to be told of that."""
        origin = request.headers.get("Origin")
        if origin is not None and self._origins.allows(origin):
            request[GRANTED] = granted(origin)
        if request.rel_url.raw_path in PATHS:
            self._origins.check_origin(origin)
        else:
            self._origins.check(request.headers.get("Host", ""), origin)
        if not self._is_public(request):
            sent = request.headers.getall("Authorization", [])
            request[PRINCIPAL] = self._access.admit(sent)

    def _is_public(self, request: web.BaseRequest) -> bool:
        """Say whether a request needs no credentials: a probe, or what comes before them."""
        path = request.rel_url.raw_path
        is_preflight = (
            request.method == "OPTIONS" and GRANTED in request and _ASKED in request.headers
        )
        return path in PUBLIC or path.startswith(WELL_KNOWN) or is_preflight

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        methods = self._methods_of(path)
        if methods is None:
            raise NotFound(f"nothing is at {path[:200]}", hint="the MCP endpoint is /mcp")
        handler = methods.get(request.method)
        if handler is not None:
            return await handler(request)
        known = [name for name in methods if name != "HEAD"]
        if request.method == "OPTIONS" and GRANTED in request and _ASKED in request.headers:
            asked = request.headers.get("Access-Control-Request-Headers", "")
            return web.Response(status=204, headers=allowed(known, asked))
        return _not_allowed(request, known)

    def _methods_of(self, path: str) -> Mapping[str, Handler] | None:
        if path.startswith(ADMIN_PREFIX):
            return dict.fromkeys(("GET", "HEAD", *self._desk.writes), self._admin)
        is_page = path in PATHS
        return {"GET": self._page, "HEAD": self._page} if is_page else self._routes.get(path)

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        check_sends_json(request)
        check_accepts(request, JSON, EVENT_STREAM)
        async with body_of(request, self._held) as body:
            inbound = with_headers(request, body)
            exchange = HttpExchange(held=self._held)
            return await respond(request, exchange, self._service.handle(inbound, exchange))

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Open a stream on which a legacy session hears what belongs to no request of its own."""
        inbound = with_headers(request, b"")
        if inbound.headers.version in MODERN_VERSIONS:
            return _not_allowed(request, ["POST"])
        check_accepts(request, EVENT_STREAM)
        exchange = HttpExchange(held=self._held)
        return await respond(request, exchange, self._service.stream(inbound, exchange))

    async def _delete(self, request: web.BaseRequest) -> web.StreamResponse:
        self._service.end_session(with_headers(request, b""))
        return web.Response(status=200)

    async def _page(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path not in PUBLIC:
            self._desk.check(request)
        page = await self.pages.read(path)
        headers = {"Content-Type": page.content_type}
        return web.Response(status=page.status, body=page.body, headers=headers)

    async def _admin(self, request: web.BaseRequest) -> web.StreamResponse:
        is_read = request.method in ("GET", "HEAD")
        status, body = await (self._desk.read if is_read else self._desk.write)(request)
        return _json(status, body)


def _not_allowed(request: web.BaseRequest, allowed: list[str]) -> web.Response:
    listed = ", ".join(allowed)
    error = NotAllowed(f"{request.method[:20]} is not allowed here", hint=f"use {listed}")
    response = _json(error.http_status, refusal_at(request.rel_url.raw_path, error))
    response.headers["Allow"] = listed
    return response


def _json(status: int, body: bytes) -> web.Response:
    if not body:
        return web.Response(status=status)
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
