"""Gateways that ask for keys, and clients that have one."""

import http.client
import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.support.mcp_client import LEGACY, META, MODERN

KEYS = {
    "ann": "o1_ann-0123456789abcdefghijklmnopqrstuvwxyzABCD",
    "tom": "o1_tom-0123456789abcdefghijklmnopqrstuvwxyzABCD",
    "few": "o1_few-0123456789abcdefghijklmnopqrstuvwxyzABCD",
    "root": "o1_root-0123456789abcdefghijklmnopqrstuvwxyzABC",
}
"""ann has everything, tom the server `time`, few one tool of `files`, root the administration."""
ENV = {f"KEY_{owner.upper()}": key for owner, key in KEYS.items()}


def demo(name: str) -> dict[str, Any]:
    """Declare one of the bundled servers."""
    return {"id": name, "command": sys.executable, "args": ["-m", "only1mcp.demo", name]}


def keyed(**proxy: Any) -> dict[str, Any]:
    """Return a configuration with two servers and four keys."""
    owners: dict[str, dict[str, Any]] = {
        "ann": {}, "tom": {"servers": ["ti*"]}, "root": {"admin": True},
        "few": {"tools": ["files__l*"], "servers": ["files"]},
    }  # fmt: skip
    keys = [{"id": owner, "key_env": f"KEY_{owner.upper()}", **more}
            for owner, more in owners.items()]  # fmt: skip
    return {
        "proxy": {"shutdown_timeout": "10s", "listen": {"sse": True, "websocket": True}, **proxy},
        "auth": {"keys": keys},
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [demo("time"), demo("files")],
    }


class Caller:
    """A client with a key, on a connection that it keeps as long as the gateway does."""

    def __init__(self, port: int, owner: str | None) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.session: str | None = None
        self._key = {} if owner is None else {"Authorization": f"Bearer {KEYS[owner]}"}
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.http.close()

    def ask(
        self, verb: str, path: str, headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:  # fmt: skip
        """Send any request; the body of a stream is not read."""
        self.http.request(verb, path, body, {**self._key, **(headers or {})})
        response = self.http.getresponse()
        if "event-stream" in (response.getheader("Content-Type") or ""):
            return response, b""
        return response, response.read()

    def modern(self, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """Send a request of 2026-07-28; returns the status and the response."""
        self._last_id += 1
        name = params.get("uri") if method == "resources/read" else params.get("name")
        headers = {**SENT, "MCP-Protocol-Version": MODERN, "Mcp-Method": method,
                   **({} if name is None else {"Mcp-Name": name})}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method,
                "params": {**params, "_meta": META}}  # fmt: skip
        response, text = self.ask("POST", "/mcp", headers, json.dumps(body).encode())
        return response.status, json.loads(text)

    def legacy(self, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """Send a request on the session, or open it; returns the status and the response."""
        self._last_id += 1
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        response, text = self.ask("POST", "/mcp", {**SENT, **self.own()}, json.dumps(body).encode())
        self.session = response.getheader("Mcp-Session-Id") or self.session
        return response.status, json.loads(text)

    def initialize(self) -> str:
        """Open a legacy session; returns its id."""
        status, _ = self.legacy(
            "initialize", protocolVersion=LEGACY, capabilities={},
            clientInfo={"name": "test", "version": "1"},
        )  # fmt: skip
        assert status == 200
        assert self.session is not None
        return self.session

    def own(self) -> dict[str, str]:
        """Return the headers of the session."""
        return {} if self.session is None else {
            "Mcp-Session-Id": self.session, "MCP-Protocol-Version": LEGACY,
        }  # fmt: skip

    def names(self, method: str = "tools/list", key: str = "tools") -> list[str]:
        """Return the names on a list."""
        return [item["name"] for item in self.modern(method)[1]["result"][key]]


SENT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
