"""A call that came over a link, as the server that answers it sees it."""

from collections.abc import Callable

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Respond
from only1mcp.errors import BackendProtocolError, Only1MCPError
from only1mcp.links.frames import Kind, fits
from only1mcp.links.link import Link
from only1mcp.links.wire import encode_failure, encode_numbered
from only1mcp.protocol import jsonrpc


class LinkSink:
    """Sends a call's end back over the link it came from."""

    def __init__(
        self, forget: Callable[[Link, int], None], link: Link, token: int,
        questions: dict[int, Respond],
    ) -> None:  # fmt: skip
        self._forget = forget
        self._link = link
        self._token = token
        self._questions = questions
        self._count = 0

    def on_message(self, message: Envelope) -> None:
        """Pass on what comes before the end."""
        self._link.send(Kind.MESSAGE, self._token, message.body)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Pass on a question under a number, by which its answer comes back."""
        self._count += 1
        numbered = encode_numbered(self._count, message.body)
        if not fits(numbered):
            respond(jsonrpc.error_member(_too_large("question", message)))
            return
        self._questions[self._count] = respond
        self._link.send(Kind.ASK, self._token, numbered)

    def on_reply(self, reply: Envelope) -> None:
        """End with the response."""
        if not fits(reply.body):
            self.on_failure(_too_large("answer", reply))
            return
        self._forget(self._link, self._token)
        self._link.send(Kind.REPLY, self._token, reply.body)

    def on_failure(self, error: Only1MCPError) -> None:
        """End with the failure."""
        self._forget(self._link, self._token)
        self._link.send(Kind.FAILED, self._token, encode_failure(error))


def _too_large(what: str, message: Envelope) -> BackendProtocolError:
    return BackendProtocolError(f"the server's {what} of {len(message.body)} bytes is too large")
