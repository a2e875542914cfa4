"""What real clients do from connecting to leaving, for locust; both eras.

`locust -f loadtests/journeys.py --headless --host http://127.0.0.1:8080` steps up to LOAD_TARGET
requests a second (10,000 unless set) within LOAD_SECONDS. The gateway must have the servers of
`loadtests/run.py`. Each answer must carry the id and what was asked for; anything else is a
failure.
"""

import itertools
import json
import os
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant_throughput, task

MODERN, LEGACY = "2026-07-28", "2025-11-25"
TARGET = float(os.environ.get("LOAD_TARGET", "10000"))
SECONDS = float(os.environ.get("LOAD_SECONDS", "60"))
STEPS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Parts of the target, each for an equal part of the time."""
_REQUESTS = 6
"""Of one journey."""
_JOURNEYS_PER_S = 2.0
"""Of one user, if the answers come in time."""
_INFO = {"name": "locust", "version": "1"}
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_numbers = itertools.count(1)


class Steps(LoadTestShape):  # type: ignore[misc]
    """As many users as would make the step's rate if all answers came at once."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Return users and how many may start in a second; None at the end."""
        passed = self.get_run_time() / SECONDS
        if passed >= 1:
            return None
        rate = TARGET * STEPS[int(passed * len(STEPS))]
        users = max(round(rate / (_REQUESTS * _JOURNEYS_PER_S)), len(CLIENTS))
        return users, float(users)


class Client(FastHttpUser):  # type: ignore[misc]
    """One client; makes one journey after the other."""

    abstract = True
    wait_time = constant_throughput(_JOURNEYS_PER_S)
    connection_timeout = network_timeout = 60.0
    version = opened = ""

    def request(self, method: str, params: dict[str, Any], expected: str, name: str = "") -> Any:
        """Send a request; returns its result, or None when it failed, which is noted."""
        number = next(_numbers)
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": self.dress(params)}
        sent = {"data": json.dumps(body), "headers": self.headers(method, name)}
        label = f"{self.version} {method}"
        with self.client.post("/mcp", catch_response=True, name=label, **sent) as response:
            self.opened = (response.headers or {}).get("Mcp-Session-Id", "")
            message = _message(response, number)
            if message is None or "result" not in message:
                response.failure(f"{response.status_code} {str(response.text)[:200]}")
                return None
            if expected not in json.dumps(message["result"]):
                response.failure(f"{expected!r} is not in {str(response.text)[:200]}")
            return message["result"]

    def use(self) -> None:
        """List, call and read: what both eras do alike."""
        nonce = f"nonce-{next(_numbers)}-"
        number = next(_numbers) % 1000 + 1
        self.request("tools/list", {}, "everything__echo")
        for tool, arguments, expected in (
            ("everything__echo", {"message": nonce}, nonce),
            ("python2__add", {"a": number, "b": 1}, f'"{number + 1}"'),
        ):
            self.request("tools/call", {"name": tool, "arguments": arguments}, expected, tool)
        uri = f"demo://resource/dynamic/text/{number}"
        self.request("resources/read", {"uri": uri}, f"Resource {number}:", uri)

    def dress(self, params: dict[str, Any]) -> dict[str, Any]:
        """Add what the era wants in every request's parameters."""
        return params

    def headers(self, method: str, name: str) -> dict[str, str]:
        """Return the headers of a request."""
        raise NotImplementedError


class ModernClient(Client):
    """A client of 2026-07-28: no session, every request says all."""

    version = MODERN

    @task  # type: ignore[untyped-decorator]
    def journey(self) -> None:
        """Discover, use, and go."""
        self.request("server/discover", {}, MODERN)
        self.use()
        self.request("prompts/list", {}, "prompts")

    def dress(self, params: dict[str, Any]) -> dict[str, Any]:
        """Say who we are."""
        meta = {"protocolVersion": MODERN, "clientInfo": _INFO, "clientCapabilities": {}}
        named = {f"io.modelcontextprotocol/{key}": value for key, value in meta.items()}
        return {**params, "_meta": named}

    def headers(self, method: str, name: str) -> dict[str, str]:
        """Repeat what the body says."""
        named = {"Mcp-Name": name} if name else {}
        return {**_HEADERS, "MCP-Protocol-Version": MODERN, "Mcp-Method": method, **named}


class LegacyClient(Client):
    """A client of 2025-11-25, with a session."""

    version = LEGACY
    session = ""

    @task  # type: ignore[untyped-decorator]
    def journey(self) -> None:
        """Open a session, use it, and end it."""
        self.session = ""
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _INFO}
        if self.request("initialize", params, LEGACY) is None:
            return
        self.session = self.opened
        told = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.client.post(
            "/mcp", data=told, headers=self.headers("", ""), name=f"{LEGACY} initialized"
        )
        self.use()
        self.client.delete("/mcp", headers=self.headers("", ""), name=f"{LEGACY} DELETE")

    def headers(self, method: str, name: str) -> dict[str, str]:
        """Name the session."""
        del name
        if method == "initialize":
            return _HEADERS
        return {**_HEADERS, "MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self.session}


CLIENTS = (ModernClient, LegacyClient)


def _message(response: Any, number: int) -> Any:
    """Return the answer with this id, from a body or from a stream."""
    text = response.text or ""
    lines = [text]
    if "text/event-stream" in (response.headers or {}).get("Content-Type", ""):
        lines = [line[5:] for line in text.splitlines() if line.startswith("data:")]
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict) and message.get("id") == number:
            return message
    return None
