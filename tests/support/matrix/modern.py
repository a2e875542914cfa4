"""The modern era: every request describes itself; there are no sessions."""

import asyncio
import json
from collections.abc import Callable

from tests.support.matrix.call import Call, Exchange, InputRequiredError, RpcError
from tests.support.matrix.exotic import write
from tests.support.matrix.jobs import EXTENSION, Job, run_modern
from tests.support.matrix.questions import Plain
from tests.support.matrix.server import (
    CAPABILITIES,
    LISTS,
    METHOD_NOT_FOUND,
    MatrixServer,
    answer,
)

MODERN = "2026-07-28"
_OWN = "io.modelcontextprotocol/"
_HINTS = '"ttlMs":0,"cacheScope":"private"'
_KINDS = {"tools": "toolsListChanged", "prompts": "promptsListChanged",
          "resources": "resourcesListChanged"}  # fmt: skip


class Subscription:
    """One `subscriptions/listen`."""

    def __init__(self, request_id: object, wanted: Plain, send: Callable[[str], None]) -> None:
        self._id = request_id
        self._wanted = wanted
        self._send = send
        self._tell("notifications/subscriptions/acknowledged", {"notifications": wanted})

    def on_change(self, kind: str) -> None:
        """Tell that a list has changed, if that is wanted."""
        if self._wanted.get(_KINDS[kind]):
            self._tell(f"notifications/{kind}/list_changed", {})

    def on_update(self, params: Plain) -> None:
        """Tell that a resource was updated, if that is wanted."""
        if params["uri"] in self._wanted.get("resourceSubscriptions", []):
            self._tell("notifications/resources/updated", params)

    def on_task(self, job: Job) -> None:
        """Tell that a task has another status, if that is wanted."""
        if job.id in self._wanted.get("taskIds", []):
            self._tell("notifications/tasks", job.extension)

    def _tell(self, method: str, params: Plain) -> None:
        tagged = {**params, "_meta": {_OWN + "subscriptionId": self._id}}
        self._send(write({"jsonrpc": "2.0", "method": method, "params": tagged}))


class ModernService:
    """Answers requests of 2026-07-28.

    Args:
        server: what is served.
        is_channel: whether all requests are one client's, which uses no id twice.
    """

    def __init__(self, server: MatrixServer, *, is_channel: bool) -> None:
        self._server = server
        self._is_channel = is_channel
        self._ids: set[str] = set()

    async def serve(self, message: Plain, raw: str, exchange: Exchange) -> None:
        """Answer one request; whoever cancels this has the call cancelled."""
        request_id = json.dumps(message.get("id"))
        if request_id in self._ids and self._is_channel:
            self._server.recorder.fault("an id is used again", raw)
        self._ids.add(request_id)
        if message["method"] == "subscriptions/listen":
            await self._listen(message, exchange)
            return
        await answer(message["id"], lambda: self._result(message, raw, exchange), exchange.finish)

    async def _listen(self, message: Plain, exchange: Exchange) -> None:
        wanted = message["params"]["notifications"]
        subscription = Subscription(message["id"], wanted, exchange.send)
        self._server.listeners.add(subscription)
        self._server.recorder.note("listen", wanted=wanted)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._server.listeners.discard(subscription)
            self._server.recorder.note("listened", wanted=wanted)

    async def _result(self, message: Plain, raw: str, exchange: Exchange) -> str:
        method, params = message["method"], message.get("params", {})
        capabilities = self._check(params, raw)
        if method == "server/discover":
            return self._discover()
        if method in LISTS:
            page = self._server.list_page(method, params)
            return f'{{"resultType":"complete",{page},{_HINTS}}}'
        if method in ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
            self._server.recorder.fault(f"{method} in the modern era", raw)
            raise RpcError(METHOD_NOT_FOUND, "no such method")
        call = Call(params, exchange, capabilities, None, self._server.recorder.note)
        if "task" in params:
            self._server.recorder.fault("a legacy wish for a task in the modern era", raw)
        try:
            result = await run_modern(self._server.jobs, method, call)
            if result is None:
                result = await self._server.run(method, call)
        except InputRequiredError as asked:
            return write(asked.result)
        hints = {"ttlMs": 0, "cacheScope": "private"} if method == "resources/read" else {}
        meta = {**result.pop("_meta", {}), _OWN + "serverInfo": self._server.info}
        return write({"resultType": "complete", **result, **hints, "_meta": meta})

    def _check(self, params: Plain, raw: str) -> Plain:
        meta = params.get("_meta") or {}
        capabilities = meta.get(_OWN + "clientCapabilities")
        if meta.get(_OWN + "protocolVersion") != MODERN or not isinstance(capabilities, dict):
            self._server.recorder.fault("the metadata is not complete", raw)
            raise RpcError(-32602, "the metadata is not complete")
        return capabilities

    def _discover(self) -> str:
        server = self._server
        return write({
            "resultType": "complete", "supportedVersions": [MODERN],
            "capabilities": {**CAPABILITIES, "extensions": {EXTENSION: {}}},
            "instructions": server.instructions, "ttlMs": 0, "cacheScope": "private",
            "_meta": {_OWN + "serverInfo": server.info},
        })  # fmt: skip
