"""Calls that came while a server was still being started."""

from collections import deque
from dataclasses import dataclass

from only1mcp.backends.call import Cancel, Outgoing, ReplySink, Send
from only1mcp.errors import Only1MCPError

MAX_WAITING = 1000


@dataclass(eq=False, slots=True)
class _Waiting:
    """One of them."""

    outgoing: Outgoing
    sink: ReplySink
    cancel: Cancel | None = None
    """Set once it was sent."""


class WaitingRoom:
    """Keeps calls in order until they can be sent, or never can."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more can wait."""
        return len(self._waiting) >= MAX_WAITING

    def enter(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Keep a call; the returned function abandons it, now or later."""
        entry = _Waiting(outgoing, sink)
        self._waiting.append(entry)
        return lambda: self._abandon(entry)

    def _abandon(self, entry: _Waiting) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif entry.cancel is not None:
            entry.cancel()

    def send(self, send: Send) -> None:
        """Send all."""
        while self._waiting:
            entry = self._waiting.popleft()
            entry.cancel = send(entry.outgoing, entry.sink)

    def fail(self, error: Only1MCPError) -> None:
        """Fail all."""
        while self._waiting:
            self._waiting.popleft().sink.on_failure(error)
