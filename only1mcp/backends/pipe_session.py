"""A session on a channel of lines: many calls at once on one child process."""

import asyncio
import logging
from collections.abc import Callable

import orjson

from only1mcp._speedups import REQUEST, RESPONSE, Envelope, scan
from only1mcp.backends.call import Cancel, FutureSink, Outgoing, ReplySink
from only1mcp.backends.handshake import Hello, discover, initialize, judge_probe, read_initialize
from only1mcp.backends.multiplexer import Multiplexer
from only1mcp.errors import (
    BackendLost,
    BackendTimeout,
    BackendUnreachable,
    Only1MCPError,
    Overloaded,
)
from only1mcp.protocol import jsonrpc

_log = logging.getLogger(__name__)
MAX_PENDING = 10_000
_METHOD_NOT_FOUND = orjson.dumps({"code": -32601, "message": "Method not found"})


class PipeSession:
    """Pairs calls and replies; knows nothing of processes.

    Args:
        name: the server's id, for messages and logs.
        write: sends one message; False when the channel takes none.
        on_notification: hears of every notification's method.
    """

    def __init__(
        self, name: str, write: Callable[[bytes], bool], on_notification: Callable[[str], None]
    ) -> None:
        self._name = name
        self._write = write
        self._on_notification = on_notification
        self._calls: Multiplexer[ReplySink] = Multiplexer()
        self._garbage = 0

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; its end reaches the sink."""
        if len(self._calls) >= MAX_PENDING:
            sink.on_failure(Overloaded(f"server {self._name} has too many calls under way"))
            return _nothing
        request_id = self._calls.open(sink)
        if not self._write(jsonrpc.request(request_id, outgoing.method, outgoing.params)):
            self._calls.take(request_id)
            sink.on_failure(BackendUnreachable(f"server {self._name} takes no more input"))
            return _nothing
        return lambda: self._cancel(request_id)

    def _cancel(self, request_id: bytes) -> None:
        """Forget the call and tell the server (basic/patterns/cancellation)."""
        if self._calls.take(request_id) is not None:
            self.notify("notifications/cancelled", b'{"requestId":%b}' % request_id)

    def notify(self, method: str, params: bytes = b"") -> None:
        """Send a notification."""
        self._write(jsonrpc.notification(method, params))

    async def request(self, outgoing: Outgoing, timeout_s: float) -> Envelope:
        """Send a request of our own and wait for the response.

        Raises:
            BackendTimeout: it did not come in time.
            Only1MCPError: the call failed.
        """
        sink = FutureSink()
        cancel = self.call(outgoing, sink)
        try:
            return await sink.wait(timeout_s)
        except TimeoutError:
            cancel()
            raise BackendTimeout(
                f"server {self._name} did not answer {outgoing.method} within {timeout_s:g} s"
            ) from None
        except asyncio.CancelledError:
            cancel()
            raise

    def on_line(self, line: bytes) -> None:
        """Take one message from the server."""
        try:
            message = scan(line)
        except Only1MCPError as error:
            self._note_garbage(line, error)
            return
        if message.kind == RESPONSE:
            sink = self._calls.take(message.id or b"")
            if sink is not None:
                sink.on_reply(message)
        elif message.kind == REQUEST:
            self._answer(message)
        elif message.method is not None:
            self._on_notification(message.method)

    def _answer(self, message: Envelope) -> None:
        """Answer the server's own requests: we declared no client features, so only `ping`."""
        assert message.id is not None
        if message.method == "ping":
            self._write(jsonrpc.result(message.id, b"{}"))
        else:
            self._write(jsonrpc.error(message.id, _METHOD_NOT_FOUND))

    def _note_garbage(self, line: bytes, error: Only1MCPError) -> None:
        self._garbage += 1
        if self._garbage in (1, 10, 100) or self._garbage % 1000 == 0:
            _log.warning(
                "not an MCP message on standard output (%d so far)", self._garbage,
                extra={"server": self._name, "detail": f"{error}: {line[:200]!r}"},
            )  # fmt: skip

    def close(self, reason: str) -> None:
        """End all calls under way: the channel is gone."""
        for sink in self._calls.drain():
            sink.on_failure(BackendLost(f"server {self._name} {reason} during the call"))


async def shake_hands(session: PipeSession, timeout_s: float, *, probe: bool) -> Hello:
    """Open the session in the newest era that the server speaks.

    Raises:
        BackendTimeout: the server stays silent; when it was the probe that went unanswered, a
            fresh process must be tried without one.
        BackendProtocolError: the server speaks no revision of MCP that we know.
    """
    if probe:
        hello = judge_probe(await session.request(discover(), timeout_s))
        if hello is not None:
            return hello
    hello = read_initialize(await session.request(initialize(), timeout_s))
    session.notify("notifications/initialized")
    return hello


def _nothing() -> None:
    """Cancel a call that never was."""
