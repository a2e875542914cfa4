"""One keep-alive connection, with at most one call under way."""

import asyncio
from typing import Protocol, cast

from only1mcp.benchmark.response import Malformed, Response, ResponseReader

CALL_LOST = "connection lost"


class Owner(Protocol):
    """Hears what becomes of the calls of its connections."""

    def answered(self, connection: "Connection", response: Response) -> None:
        """The call under way was answered."""

    def failed(self, connection: "Connection", kind: str, detail: str) -> None:
        """The call under way will not be answered."""

    def lost(self, connection: "Connection") -> None:
        """The connection has ended."""


class Connection(asyncio.Protocol):
    """Carries calls; `number` is the one under way, or 0."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = ResponseReader()
        self.is_open = False
        self.number = 0
        self.due = 0.0
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be open."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def send(self, data: bytes, number: int, due: float, now: float) -> None:
        """Send a call."""
        self.number = number
        self.due = due
        self.sent = now
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            response = self._reader.feed(data)
        except Malformed as error:
            self._fail("no HTTP response", str(error))
            self.abort()
            return
        if response is not None:
            self._answered(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, first of the call that this completes or spoils."""
        self.is_open = False
        response = self._reader.end()
        if response is not None:
            self._answered(response)
        else:
            self._fail(CALL_LOST, str(exc or "closed by the server"))
        self._owner.lost(self)

    def abort(self) -> None:
        """End it, whatever is under way."""
        self.is_open = False
        self._transport.abort()

    def _answered(self, response: Response) -> None:
        if response.closes:
            self.is_open = False
            self._transport.close()
        if self.number:
            self._owner.answered(self, response)

    def _fail(self, kind: str, detail: str) -> None:
        if self.number:
            self._owner.failed(self, kind, detail)
