"""aiohttp's parser behind the guard, with errors in the form that all of ours have."""

import logging

from aiohttp import web

from only1mcp.errors import ClientError, Only1MCPError
from only1mcp.ingress.admin_refusal import refusal_at

_log = logging.getLogger(__name__)


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


class HttpServer(web.Server):
    """Makes the parsers."""

    def __call__(self) -> web.RequestHandler:
        """Make the parser of one connection."""
        return HttpParser(self, loop=self._loop, **self._kwargs)
