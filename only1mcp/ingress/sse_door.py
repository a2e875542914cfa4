"""The HTTP+SSE way in (2024-11-05, basic/transports): a stream, and an address for messages.

The address holds the id of its stream, which names the worker that has it: a POST that reaches
another worker is passed on.
"""

import secrets
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from only1mcp.backends.call import Cancel
from only1mcp.errors import SessionNotFound
from only1mcp.ingress.channels import Channels
from only1mcp.ingress.duplex import Duplex
from only1mcp.ingress.held import Held
from only1mcp.ingress.http_exchange import HttpExchange, respond
from only1mcp.ingress.http_request import (
    EVENT_STREAM,
    PRINCIPAL,
    body_of,
    check_accepts,
    check_sends_json,
)
from only1mcp.ingress.service import McpService
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Answer, Exchange, Request

STREAM_PATH, POST_PATH = "/sse", "/messages"
MAX_UNSENT_BYTES = 32 * 1024 * 1024
_PARAMETER = "session"


class Posts(Protocol):
    """The other workers, which hold streams too."""

    address: str
    """This worker's own address."""

    def post(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Let another worker take a message for a channel that it holds."""


class SseDoor:
    """The streams of one worker."""

    def __init__(
        self, service: McpService, channels: Channels, posts: Posts, held: Held | None = None
    ) -> None:
        self._held = held or Held()
        self._service = service
        self._channels = channels
        self._posts = posts
        self._streams: dict[str, Duplex] = {}

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        """Open a stream, which begins with the address to post to.

        Raises:
            NotAcceptable: the client does not accept a stream.
        """
        check_accepts(request, EVENT_STREAM)
        name = f"{self._posts.address}-{secrets.token_hex(16)}"
        exchange = HttpExchange(MAX_UNSENT_BYTES, self._held)
        exchange.tell("endpoint", f"{POST_PATH}?{_PARAMETER}={name}".encode())
        client, principal = request.remote or "", request[PRINCIPAL]
        duplex = Duplex(self._service, exchange.send, client, name, principal)
        self._streams[name] = duplex
        self._channels.add(duplex, exchange.end)
        try:
            return await exchange.respond(request)
        finally:
            del self._streams[name]
            self._channels.remove(duplex)

    async def post(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take a message for a stream, wherever that is.

        Raises:
            UnsupportedMediaType: the message is not declared as JSON.
        """
        check_sends_json(request)
        name = request.rel_url.query.get(_PARAMETER, "")
        client, principal = request.remote or "", request[PRINCIPAL]
        async with body_of(request, self._held) as body:
            inbound = Request(McpHeaders(), body, client, channel=name, principal=principal)
            return await self._post(request, inbound, name)

    async def _post(
        self, request: web.BaseRequest, inbound: Request, name: str
    ) -> web.StreamResponse:
        exchange = HttpExchange()
        address = name.rpartition("-")[0]
        if address == self._posts.address:
            return await respond(request, exchange, self.take(inbound, exchange))
        cancel = self._posts.post(address, inbound, exchange, lambda: exchange.answer(_unknown()))
        return await respond(request, exchange, cancel)

    def take(self, request: Request, exchange: Exchange) -> Cancel:
        """Take a message for one of our own streams; what it leads to goes there."""
        duplex = self._streams.get(request.channel or "")
        if duplex is None or duplex.principal != request.principal:
            exchange.answer(_unknown())
        else:
            exchange.answer(Answer(202, b""))
            duplex.take(request.body)
        return _nothing


def _unknown() -> Answer:
    error = SessionNotFound("there is no such stream", hint=f"open one: GET {STREAM_PATH}")
    return Answer(error.http_status, jsonrpc.error_from(None, error))


def _nothing() -> None:
    """What was taken cannot be taken back."""
