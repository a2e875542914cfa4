"""A stream that can be resumed, by itself, with what is kept of it."""

from typing import Any

from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.replay import Replays
from only1mcp.sessions.session import Session
from tests.support.fake_peers import FakePeers
from tests.support.told import Told

SESSION = Session(7, 1_000_000, "2025-11-25", b"{}", b"")


def last_id(told: Told) -> str:
    """Return the id of the last event that a client got."""
    found = told.event_ids[-1]
    assert found is not None
    return found


def moved(event_id: str, number: int) -> str:
    """Return the id of another event of the same stream."""
    return f"{event_id.rpartition('-')[0]}-{number}"


class Kept:
    """A stream of a session on its own, with what keeps it."""

    def __init__(self, *, of_call: bool = True) -> None:
        self.replays = Replays("1.0")
        self.told = Told()
        body = b"{}" if of_call else b""
        self.stream = self.replays.wrap(SESSION, Request(McpHeaders(), body, ""), self.told)
        self.given_up = 0
        self.anew = 0
        self.stream.open()
        self.broken = self.replays.keeper(self.stream, self._give_up)

    def _give_up(self) -> None:
        self.given_up += 1

    def _anew(self) -> Any:
        self.anew += 1
        return lambda: None

    def resume(self, last_event_id: str, serial: int = 7) -> Told:
        """Come back."""
        again = Told()
        session = Session(serial, 1_000_000, "2025-11-25", b"{}", b"")
        request = Request(McpHeaders(), b"", "", last_event_id=last_event_id)
        again.cancel = self.replays.resume(session, request, again, FakePeers(), self._anew)
        return again
