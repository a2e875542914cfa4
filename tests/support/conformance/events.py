"""The events of all streams, for clients that come back after theirs was closed."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.streamable_http import EventMessage

Send = Callable[[EventMessage], Awaitable[None]]


class Events:
    """Keeps everything for ever: a test is short. Has the shape of the SDK's EventStore."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        """Keep one event of a stream and return its id."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Send) -> str | None:
        """Send what followed an event on its stream; returns the stream, None if it is unknown."""
        last = int(last_event_id)
        if not 0 < last <= len(self._events):
            return None
        stream_id = self._events[last - 1][0]
        for number, (stream, message) in enumerate(self._events[last:], last + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id
