"""Where calls to one server wait while too many are under way there, on the common way."""

import time
from collections import deque

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Backend, Cancel, Outgoing, PassingSink, ReplySink
from only1mcp.errors import Only1MCPError, Overloaded


class Line:
    """Lets so many calls pass at a time; the others wait in order, or are refused at once.

    Args:
        server_id: the server's id.
        inner: the way to the server.
        limit: how many calls may be under way.
        patience_s: when one has waited for so long, further ones are refused.
    """

    def __init__(self, server_id: str, inner: Backend, limit: int, patience_s: float) -> None:
        self.server_id = server_id
        self.inner = inner
        self._limit = limit
        self._patience_s = patience_s
        self._under_way = 0
        self._waiting: deque[_Turn] = deque()

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request now or later; the returned function abandons it."""
        turn = _Turn(self, outgoing, sink)
        if self._under_way < self._limit:
            self._begin(turn)
        elif self.is_full(turn.began):
            sink.on_failure(Overloaded.of(f"server {self.server_id}"))
        else:
            self._waiting.append(turn)
        return turn.abandon

    async def close(self) -> None:
        """Close the way."""
        await self.inner.close()

    def is_full(self, now: float) -> bool:
        """Say whether a call has waited for so long that one more is better refused at once."""
        return bool(self._waiting) and now - self._waiting[0].began > self._patience_s

    def ended(self) -> None:
        """Learn that a call is not under way any more; the next one takes its place."""
        self._under_way -= 1
        if self._waiting and self._under_way < self._limit:
            self._begin(self._waiting.popleft())

    def left(self, turn: "_Turn") -> None:
        """Learn that nobody wants an answer to a call that waits."""
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _begin(self, turn: "_Turn") -> None:
        self._under_way += 1
        turn.begin(self.inner)


class _Turn(PassingSink):
    """One call, which hears of its own end."""

    def __init__(self, line: Line, outgoing: Outgoing, sink: ReplySink) -> None:
        self.began = time.monotonic()
        self._line = line
        self._outgoing = outgoing
        self.sink = sink
        self._cancel: Cancel | None = None
        self._is_under_way = False

    def begin(self, backend: Backend) -> None:
        """Send it."""
        self._is_under_way = True
        self._cancel = backend.call(self._outgoing, self)

    def abandon(self) -> None:
        """Learn that nobody wants the answer any more."""
        cancel = self._cancel
        if cancel is None:
            self._line.left(self)
            return
        self._end()
        cancel()

    def on_reply(self, reply: Envelope) -> None:
        """Let the next call begin, and pass on the answer."""
        self._end()
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Let the next call begin, and pass on the failure."""
        self._end()
        self.sink.on_failure(error)

    def _end(self) -> None:
        if self._is_under_way:
            self._is_under_way = False
            self._line.ended()
