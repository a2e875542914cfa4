"""A link to a host, in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.host_link import HostLink
from only1mcp.tasks import Tasks


class ToldLink(HostLink):
    """Remembers what the host is told; it is never started."""

    def __init__(self) -> None:
        nowhere: Callable[[Any], None] = lambda event: None  # noqa: E731 - nobody hears
        super().__init__(Path("/nonexistent"), Tasks(), nowhere, nowhere, lambda: None)
        self.notes: list[dict[str, Any]] = []
        self.called: list[ReplySink] = []
        """Those that wait."""

    def note(self, payload: dict[str, Any]) -> None:
        """Remember."""
        self.notes.append(payload)

    def call(self, server_id: str, outgoing: Outgoing, sink: ReplySink, place: str = "") -> Cancel:
        """Remember, until it is cancelled."""
        del server_id, outgoing, place
        self.called.append(sink)
        return lambda: self.called.remove(sink)
