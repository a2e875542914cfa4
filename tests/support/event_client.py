"""A client that reads streams of a gateway event by event, each on a connection of its own."""

import http.client
import json
from types import TracebackType
from typing import Any, Self

from tests.support.mcp_client import HEADERS, LEGACY, meta, modern_headers

_TIMEOUT_S = 20.0


class EventStream:
    """The stream of a legacy session, for the time of a `with` block.

    Args:
        port: of the gateway on this host.
        session: id of the session.
        last_event_id: what was seen last, to go on from there.
    """

    def __init__(self, port: int, session: str, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        self._headers = {
            "Accept": "text/event-stream", "Mcp-Session-Id": session,
            "MCP-Protocol-Version": LEGACY,
        }  # fmt: skip
        self._response: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        seen = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        self._http.request("GET", "/mcp", headers={**self._headers, **seen})
        self._response = self._http.getresponse()
        assert self._response.status == 200, self._response.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._http.close()

    def next(self) -> dict[str, Any] | None:
        """Wait for the next message, noting all ids on the way; None at the end of the stream."""
        assert self._response is not None
        data = b""
        while line := self._response.readline():
            name, _, value = line.rstrip(b"\n").partition(b": ")
            if name == b"id":
                self.last_event_id = value.decode()
            elif name == b"data":
                data = value
            elif line == b"\n" and data:
                message: dict[str, Any] = json.loads(data)
                return message
        return None

    def until(self, method: str) -> dict[str, Any]:
        """Wait for a message of this method; return it."""
        while (message := self.next()) is not None:
            if message.get("method") == method:
                return message
        raise AssertionError(f"the stream ended without {method}")

    def begin(self) -> Self:
        """Wait until the id of the first event has come."""
        assert self._response is not None
        while not self.last_event_id:
            line = self._response.readline()
            assert line
            if line.startswith(b"id: "):
                self.last_event_id = line[4:-1].decode()
        return self


class Subscription(EventStream):
    """A `subscriptions/listen` of a modern client; it begins with its acknowledgement.

    Args:
        port: of the gateway on this host.
        capabilities: what the client says that it can be asked.
        notifications: what it wants to hear of.
    """

    def __init__(
        self, port: int, capabilities: dict[str, Any] | None = None, /, **notifications: Any
    ) -> None:
        super().__init__(port, "")
        self._meta = meta(capabilities)
        self._wanted = notifications

    def __enter__(self) -> Self:
        method = "subscriptions/listen"
        params = {"notifications": self._wanted, "_meta": self._meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._http.request("POST", "/mcp", json.dumps(body), modern_headers(method))
        self._response = self._http.getresponse()
        assert self._response.status == 200, self._response.read()
        self.until("notifications/subscriptions/acknowledged")
        return self


class PostStream(EventStream):
    """The stream that answers one request of a legacy client."""

    def __init__(self, port: int, session: str, method: str, **params: Any) -> None:
        super().__init__(port, session)
        self._body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

    def __enter__(self) -> Self:
        headers = {**self._headers, **HEADERS}
        self._http.request("POST", "/mcp", json.dumps(self._body), headers)
        self._response = self._http.getresponse()
        assert self._response.status == 200, self._response.read()
        return self
