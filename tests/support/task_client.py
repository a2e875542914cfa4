"""A modern client that takes tasks for an answer."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.messages import OWN
from tests.support.task_offers import declared
from tests.support.waiting import wait_until

_META = {**META, OWN + "clientCapabilities": declared({"elicitation": {}})}


class TaskClient(McpClient):
    """Declares the extension with every request."""

    def begin(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return the task that comes of it."""
        status, message = self.request("tools/call", name=tool, arguments=arguments)
        task: dict[str, Any] = message.get("result", {})
        assert (status, task.get("resultType")) == (200, "task"), message
        return task

    def get(self, task_id: str) -> dict[str, Any]:
        """Return what is told of a task now."""
        status, message = self.request("tasks/get", taskId=task_id)
        assert status == 200, message
        task: dict[str, Any] = message["result"]
        assert task["taskId"] == task_id
        return task

    def until(self, task_id: str, status: str) -> dict[str, Any]:
        """Wait until a task has a status; return what is told of it then."""

        def check() -> dict[str, Any] | None:
            task = self.get(task_id)
            return task if task["status"] == status else None

        return wait_until(check, f"the task to be {status}")

    @contextmanager
    def listening(self, *task_ids: str) -> Iterator["Stream"]:
        """Subscribe to tasks, on this connection, which serves nothing else meanwhile."""
        self.send("subscriptions/listen", notifications={"taskIds": list(task_ids)})
        with self.http.getresponse() as response:
            assert response.status == 200, response.read()
            yield Stream(response)

    def _message(self, method: str, params: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        name = params.get("taskId", params.get("name"))
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method,
                "params": {**params, "_meta": _META}}  # fmt: skip
        return json.dumps(body).encode(), modern_headers(method, name)


class Stream:
    """What comes on a subscription."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def next(self) -> dict[str, Any]:
        """Wait for a message."""
        while True:
            line = self._response.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:") and line[5:].strip():
                message: dict[str, Any] = json.loads(line[5:])
                return message
