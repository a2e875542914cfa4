"""What legacy servers ask a legacy client while none of its calls is under way.

It goes on the stream of the client's session, in the worker that holds it. The host leads it here.
"""

from collections.abc import Callable

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Respond, refusal
from only1mcp.errors import Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.questions import named_request, objection
from only1mcp.sessions.session import Session


class StreamQuestions:
    """Implements `only1mcp.backends.call.ReplySink` for one stream, which gets no reply.

    Args:
        session: whose stream it is.
        asks: knows what is open.
        send: leads to the stream.
        allows: says whether a server exists for the client.
    """

    def __init__(
        self, session: Session, asks: Asks, send: Callable[[bytes], None],
        allows: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._session = session
        self._asks = asks
        self._send = send
        self._allows = allows
        self._open: dict[bytes, tuple[bytes, Respond]] = {}
        """Our id of each question and how to answer it, by the host's id."""

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Put a question to the client."""
        theirs = message.id or b""
        server_id = str(orjson.loads(theirs)).partition("/")[0]
        no = objection(message, self._session.features)
        if no is not None or not self._allows(server_id):
            respond(no or refusal(message))
            return

        def answered(member: bytes) -> None:
            self._open.pop(theirs, None)
            respond(member)

        params: bytes = message.body[message.params_start : message.params_end]
        try:
            ours = self._asks.ask(
                self._session.serial, message.method or "", params, self._send, answered
            )
        except Only1MCPError as error:
            respond(jsonrpc.error_member(error))
        else:
            self._open[theirs] = (ours, respond)

    def on_message(self, message: Envelope) -> None:
        """Tell the client that its answer is not wanted any more."""
        ours, respond = self._open.pop(named_request(message), (None, None))
        if ours is not None and respond is not None:
            self._asks.withdraw(ours)
            respond(refusal(message))  # nobody waits for it, yet it is kept until it comes

    def on_reply(self, reply: Envelope) -> None:
        """Let pass what does not come."""

    def on_failure(self, error: Only1MCPError) -> None:
        """Withdraw what is open: the host is gone, and with it who asked."""
        self.close()

    def close(self) -> None:
        """Withdraw what is open: the stream is another, and the host asks again there."""
        while self._open:
            self._asks.withdraw(self._open.popitem()[1][0])
