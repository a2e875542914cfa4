"""A backend in memory: it implements `Backend`, and answers when and what the test says."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from only1mcp._speedups import scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.errors import Only1MCPError
from only1mcp.protocol import jsonrpc
from tests.support.messages import legacy, notification

Script = Callable[[Outgoing], "bytes | Only1MCPError | None"]
"""Makes the answer of a call: a raw result, an error made by `refusal`, a failure, or nothing yet.

`refusal` marks its bytes, so that both kinds of answer are plain bytes.
"""
_REFUSAL = b"!"


def refusal(code: int, message: str = "no", more: bytes = b"") -> bytes:
    """Return the answer of a backend that refuses with this JSON-RPC error."""
    return _REFUSAL + b'{"code":%d,"message":"%b"%b}' % (code, message.encode(), more)


@dataclass(slots=True)
class Received:
    """One call that came in."""

    outgoing: Outgoing
    sink: ReplySink
    cancelled: bool = False
    responses: list[Any] = field(default_factory=list)
    """The members of the responses to what the server asked, parsed, in the order they came."""


class FakeBackend:
    """Takes calls; a script answers them before `call` returns, or the test does later."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script
        self.calls: list[Received] = []
        self.closed = False

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a call."""
        received = Received(outgoing, sink)
        self.calls.append(received)
        if self._script is not None:
            answer = self._script(outgoing)
            if answer is not None:
                self.answer(answer)

        def cancel() -> None:
            received.cancelled = True

        return cancel

    def answer(self, answer: bytes | Only1MCPError, number: int = -1) -> None:
        """End the call of this number, the last one if not told otherwise."""
        received = self.calls[number]
        assert not received.cancelled, "a cancelled call must not be answered"
        if isinstance(answer, Only1MCPError):
            received.sink.on_failure(answer)
        elif answer.startswith(_REFUSAL):
            received.sink.on_reply(scan(jsonrpc.error(b"99", answer[1:])))
        else:
            received.sink.on_reply(scan(jsonrpc.result(b"99", answer)))

    def notify(self, method: str, params: dict[str, Any] | None = None, number: int = -1) -> None:
        """Send a notification on the way of a call."""
        received = self.calls[number]
        assert not received.cancelled, "a cancelled call hears nothing"
        received.sink.on_message(scan(notification(method, params)))

    def ask(
        self, method: str, params: dict[str, Any] | None = None, *, request_id: object = 1,
        number: int = -1,
    ) -> None:  # fmt: skip
        """Ask the client of a call something; the responses are noted with the call."""
        received = self.calls[number]
        assert not received.cancelled, "a cancelled call hears nothing"

        def respond(member: bytes) -> None:
            received.responses.append(json.loads(b"{%b}" % member))

        received.sink.on_request(scan(legacy(method, params, request_id=request_id)), respond)

    async def close(self) -> None:
        """Note the end."""
        self.closed = True
