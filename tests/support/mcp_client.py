"""An MCP client that hides nothing: one keep-alive connection, raw messages, both eras."""

import http.client
import itertools
import json
from types import TracebackType
from typing import Any, Self

MODERN, LEGACY = "2026-07-28", "2025-11-25"
_META = "io.modelcontextprotocol/"
_TIMEOUT_S = 30.0


class CallFailed(Exception):
    """A call was answered with an error, of JSON-RPC or of the tool."""


class McpClient:
    """One client on one connection.

    Args:
        port: of the gateway on this host.
        session: id of a legacy session to go on with; the client is a modern one without it and
            without `initialize`.
        capabilities: what a modern client says that it can be asked.
    """

    def __init__(
        self, port: int, session: str | None = None, capabilities: dict[str, Any] | None = None
    ) -> None:
        self.session = session
        self._meta = meta(capabilities)
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.http.close()

    def initialize(self, **capabilities: Any) -> Self:
        """Become a legacy client, with these capabilities."""
        params = {"protocolVersion": LEGACY, "capabilities": capabilities,
                  "clientInfo": {"name": "test", "version": "1"}}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": "initialize", "params": params}
        response, _ = self.exchange("POST", json.dumps(body).encode(), HEADERS)
        self.session = response.getheader("Mcp-Session-Id")
        assert response.status == 200
        assert self.session
        return self

    def end_session(self) -> int:
        """End the legacy session; returns the HTTP status."""
        return self.exchange("DELETE", None, self._legacy_headers())[0].status

    def request(self, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """Send a request; returns the HTTP status and the JSON-RPC response."""
        self.send(method, **params)
        return self.receive()

    def send(self, method: str, **params: Any) -> None:
        """Send a request and return before it is answered."""
        body, headers = self._message(method, params)
        self.http.request("POST", "/mcp", body, headers)

    def receive(self) -> tuple[int, dict[str, Any]]:
        """Read the answer to what was sent."""
        response = self.http.getresponse()
        message: dict[str, Any] = json.loads(response.read())
        return response.status, message

    def answer(self, request_id: object, result: dict[str, Any]) -> None:
        """Answer what a server asks."""
        body = {"jsonrpc": "2.0", "id": request_id, "result": result}
        response, _ = self.exchange("POST", json.dumps(body).encode(), self._legacy_headers())
        assert response.status == 202

    def call(self, name: str, **arguments: Any) -> str:
        """Call a tool and return what it says.

        Raises:
            CallFailed: the answer is an error.
        """
        return said(*self.request("tools/call", name=name, arguments=arguments))

    def tools(self) -> list[str]:
        """Return the names of all tools."""
        _, message = self.request("tools/list")
        return [tool["name"] for tool in message["result"]["tools"]]

    def exchange(
        self, verb: str, body: bytes | None, headers: dict[str, str], path: str = "/mcp"
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send any request and read the whole answer."""
        self.http.request(verb, path, body, headers)
        response = self.http.getresponse()
        return response, response.read()

    def _message(self, method: str, params: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        if self.session is not None:
            return json.dumps(body).encode(), self._legacy_headers()
        body["params"] = {**params, "_meta": self._meta}
        named = params.get("name", params.get("uri"))
        return json.dumps(body).encode(), modern_headers(method, named)

    def _legacy_headers(self) -> dict[str, str]:
        return {**HEADERS, "Mcp-Session-Id": str(self.session), "MCP-Protocol-Version": LEGACY}


HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}
META = {
    f"{_META}protocolVersion": MODERN,
    f"{_META}clientInfo": {"name": "test", "version": "1"},
    f"{_META}clientCapabilities": {},
}


def meta(capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a request of 2026-07-28 says of its client, with these capabilities."""
    return {**META, f"{_META}clientCapabilities": capabilities or {}}


def modern_headers(method: str, name: str | None = None) -> dict[str, str]:
    """Return the headers of a request of 2026-07-28."""
    named = {} if name is None else {"Mcp-Name": name}
    return {**HEADERS, "MCP-Protocol-Version": MODERN, "Mcp-Method": method, **named}


def said(status: int, message: dict[str, Any]) -> str:
    """Return the text of a tool's answer.

    Raises:
        CallFailed: the answer is an error.
    """
    result = message.get("result")
    if status != 200 or result is None or result.get("isError"):
        raise CallFailed(f"{status} {message}")
    text: str = result["content"][0]["text"]
    return text
