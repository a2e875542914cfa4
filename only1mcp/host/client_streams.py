"""The streams of legacy clients that can be asked, wherever the worker is that holds each.

What servers ask while no call is under way goes there. The newest stream of a session is the one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import orjson

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, ReplySink, Respond
from only1mcp.errors import Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.raw_object import fields, with_field


def _unheard(serial: int) -> None:
    """Have nobody learn of another stream."""


class ClientStreams:
    """Streams by the serial of their session.

    Args:
        turned: learns that a session has another stream now, or none any more.
    """

    def __init__(self, turned: Callable[[int], None] = _unheard) -> None:
        self._turned = turned
        self._open: dict[int, ReplySink] = {}

    def open(self, serial: int, stream: ReplySink) -> Cancel:
        """Use a stream from now on; the returned function is for its end."""
        self._open[serial] = stream
        self._turned(serial)
        return partial(self._close, serial, stream)

    def _close(self, serial: int, stream: ReplySink) -> None:
        if self._open.get(serial) is stream:
            del self._open[serial]
            self._turned(serial)

    def of(self, serial: int, server_id: str) -> ReplySink | None:
        """Return a session's stream for the questions of one server; None if it has none."""
        stream = self._open.get(serial)
        return None if stream is None else _OfServer(server_id, stream)


@dataclass(eq=False, frozen=True, slots=True)
class _OfServer:
    """Puts a server's name before the ids of its questions: on one stream several ask."""

    server_id: str
    stream: ReplySink

    def on_request(self, message: Envelope, respond: Respond) -> None:
        params: bytes = message.body[message.params_start : message.params_end]
        request_id = self._named(message.id or b"")
        body = jsonrpc.request(request_id, message.method or "", params)
        self.stream.on_request(scan(body), respond)

    def on_message(self, message: Envelope) -> None:
        """Pass on that a question is taken back."""
        params: bytes = message.body[message.params_start : message.params_end]
        request_id = self._named(fields(params).get("requestId", b""))
        params = with_field(params, "requestId", request_id)
        self.stream.on_message(scan(jsonrpc.notification(message.method or "", params)))

    def on_reply(self, reply: Envelope) -> None:
        """Let pass what comes to calls only."""

    def on_failure(self, error: Only1MCPError) -> None:
        """Let pass what comes to calls only."""

    def _named(self, request_id: bytes) -> bytes:
        return orjson.dumps(f"{self.server_id}/{request_id.decode()}")
