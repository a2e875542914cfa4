"""aiohttp's parser behind the guard, with errors in the form that all of ours have."""

import logging
from typing import Any

from aiohttp import HttpVersion, HttpVersion11, web

from only1mcp.errors import ClientError, Only1MCPError
from only1mcp.ingress.admin_refusal import refusal_at

_log = logging.getLogger(__name__)
_UNREAD = "UNKNOWN"
"""The method that aiohttp gives to what it cannot read."""


class HttpParser(web.RequestHandler):
    """One connection's; it answers in JSON what aiohttp refuses to read."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:  # fmt: skip
        """Answer and close; a failure of ours is logged with its trace, a bad request is not."""
        error: Only1MCPError = Only1MCPError("internal error", hint="see the gateway's log")
        if status < 500:
            lines = (message or "").splitlines()
            error = ClientError(lines[0] if lines else "the request is malformed")
            error.code = -32600
            _log.info("refused: %s", error, extra={"status": status, "client": request.remote})
        else:
            _log.error("the door failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is under way already")
        response = web.Response(
            status=status, body=refusal_at(request.rel_url.raw_path, error),
            headers={"Content-Type": "application/json", "Connection": "close"},
        )  # fmt: skip
        response.force_close()
        return response


class HttpRequest(web.BaseRequest):
    """One request, as it is answered."""

    __slots__ = ()

    @property
    def version(self) -> HttpVersion:
        """The version of the answer; aiohttp takes what it cannot read for HTTP/1.0."""
        return HttpVersion11 if self.method == _UNREAD else super().version

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Say no more of what serves here than the fast lane does: aiohttp names all versions."""
        response.headers.popall("Server", None)


class HttpServer(web.Server):
    """Makes the parsers and the requests."""

    def _make_request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> HttpRequest:
        return HttpRequest(message, payload, protocol, writer, task, self._loop)

    def __call__(self) -> web.RequestHandler:
        """Make the parser of one connection."""
        return HttpParser(self, loop=self._loop, **self._kwargs)
