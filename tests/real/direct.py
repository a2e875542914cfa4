"""A stdio server spoken to without a gateway: what it says itself, to compare with."""

import itertools
import json
import os
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.support.mcp_client import LEGACY, META

LISTS = {
    "tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}  # fmt: skip


class Direct:
    """One server, declared as in a gateway's configuration, for the time of a `with` block."""

    def __init__(self, server: Mapping[str, Any], era: str) -> None:
        self._modern = era == "modern"
        self._ids = itertools.count(1)
        self._process = subprocess.Popen(
            [server["command"], *server["args"]], env={**os.environ, **server.get("env", {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        if not self._modern:
            info = {"name": "only1mcp", "version": "0"}
            hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info}
            self.request("initialize", hello)
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._process.kill()
        self._process.communicate()

    def lists(self) -> dict[str, list[dict[str, Any]]]:
        """Return what the server offers, under the keys of the results; errors are left out."""
        answers = {key: self.request(method) for method, key in LISTS.items()}
        return {key: answer["result"][key] for key, answer in answers.items() if "result" in answer}

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its response; what the server says in between is dropped."""
        request_id = next(self._ids)
        whole = {**(params or {}), **({"_meta": META} if self._modern else {})}
        self._send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": whole})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == request_id and "method" not in message:
                return message
        raise AssertionError(f"the server ended before it answered {method}")

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
