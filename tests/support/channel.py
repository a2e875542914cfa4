"""A client on a channel to a desk, and all that it would read."""

import json
from typing import Any

from only1mcp.backends.call import Cancel
from only1mcp.ingress.duplex import Duplex
from only1mcp.proxy.exchange import Exchange, Request
from tests.support.desk import Desk
from tests.support.messages import legacy, modern, notification

VERSION = "2025-11-25"


class Channel:
    """A duplex in front of a desk's pipeline; implements `McpService` for it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.requests: list[Request] = []
        """What reached the pipeline."""
        self.read: list[Any] = []
        """What the client was told, parsed."""
        self.duplex = Duplex(self, self._write, "1.2.3.4", "test")

    def _write(self, message: bytes) -> None:
        self.read.append(json.loads(message))

    def handle(self, request: Request, exchange: Exchange) -> Cancel:
        """Answer one message."""
        self.requests.append(request)
        return self.desk.pipeline.handle(request, exchange)

    def stream(self, request: Request, exchange: Exchange) -> Cancel:
        """Open the stream of a session."""
        return self.desk.pipeline.stream(request, exchange)

    def end_session(self, request: Request) -> None:
        """End a session."""
        self.desk.ended.add(self.desk.pipeline.admission.open_session(request).serial)

    def modern(
        self, method: str, params: dict[str, Any] | None = None, *, request_id: object = 1
    ) -> None:
        """Say a request of 2026-07-28."""
        self.duplex.take(modern(method, params, request_id=request_id))

    def legacy(
        self, method: str, params: dict[str, Any] | None = None, *, request_id: object = 1
    ) -> None:
        """Say a request of a revision with sessions."""
        self.duplex.take(legacy(method, params, request_id=request_id))

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Say a notification."""
        self.duplex.take(notification(method, params))

    def cancel(self, request_id: object) -> None:
        """Take back a request."""
        self.notify("notifications/cancelled", {"requestId": request_id})

    def initialize(self, capabilities: dict[str, Any] | None = None) -> str:
        """Open a session; returns its id."""
        self.legacy("initialize", hello(capabilities), request_id="hello")
        assert self.read.pop()["result"]["protocolVersion"] == VERSION
        self.notify("notifications/initialized")
        session = self.requests[-1].headers.session
        assert session is not None
        return session


def hello(capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters of `initialize`."""
    return {
        "protocolVersion": VERSION, "capabilities": capabilities or {},
        "clientInfo": {"name": "test", "version": "1"},
    }  # fmt: skip
