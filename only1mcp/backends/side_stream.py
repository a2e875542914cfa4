"""Sorts what a backend's stream carries beside the response."""

from collections.abc import Callable

from only1mcp._speedups import REQUEST, Envelope
from only1mcp.backends.call import OnRequest, ReplySink, refusal, refuse
from only1mcp.protocol import jsonrpc
from only1mcp.transports.streamable_http import OnEvent


class SideStream:
    """Brings notifications and the server's requests to whom they concern.

    Args:
        sink: the call that the stream belongs to; None for the stream of a session.
        reply: sends the answer to a request of the server.
        on_event: takes notifications, where there is no call.
        on_request: takes requests, where there is no call.
    """

    def __init__(
        self, sink: ReplySink | None, reply: Callable[[bytes], None],
        on_event: OnEvent | None = None, on_request: OnRequest = refuse,
    ) -> None:  # fmt: skip
        self._on_request = on_request
        self._sink = sink
        self._reply = reply
        self._on_event = on_event

    def __call__(self, message: Envelope) -> None:
        """Take one message."""
        if message.kind == REQUEST:
            request_id = message.id or b"null"

            def respond(member: bytes) -> None:
                self._reply(jsonrpc.response(request_id, member))

            if message.method == "ping":
                respond(refusal(message))
            elif self._sink is None:
                self._on_request(message, respond)
            else:
                self._sink.on_request(message, respond)
        elif self._on_event is not None:
            self._on_event(message)
        elif self._sink is not None:
            self._sink.on_message(message)
