"""A session of the legacy era: from `initialize` to its end, on whatever transport."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable

from tests.support.matrix.call import LEVELS, Call, Exchange, RpcError
from tests.support.matrix.exotic import write
from tests.support.matrix.jobs import CORE, JOB, Job, run_legacy
from tests.support.matrix.questions import Plain
from tests.support.matrix.server import (
    CAPABILITIES,
    LISTS,
    METHOD_NOT_FOUND,
    MatrixServer,
    answer,
)

PAUSE_S = 0.03
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
_OWN = "io.modelcontextprotocol/"
_FORBIDDEN_META = {
    _OWN + key for key in ("protocolVersion", "clientInfo", "clientCapabilities", "logLevel")
}


class LegacySession:
    """One client's session.

    Args:
        server: what is served.
        send: takes messages that belong to no request of the client.
        asks_on_session: whether questions go that way too, instead of with the call.
    """

    def __init__(
        self, server: MatrixServer, send: Callable[[str], None], *, asks_on_session: bool = False
    ) -> None:
        self.connection = server.recorder.connection()
        self.revision = REVISIONS[-1]
        self.is_open = False
        self._server = server
        self._send = send
        self._asks_on_session = asks_on_session
        self._capabilities: Plain = {}
        self._initialized = False
        self._level = 0
        self._watched: set[str] = set()
        self._ids: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._question_ids = itertools.count(1)
        self._questions: dict[str, asyncio.Future[Plain]] = {}
        self._withdrawn: set[str] = set()

    def wants(self, level: str) -> bool:
        """Say whether the client wants log messages of this level."""
        return LEVELS.index(level) >= self._level

    def on_change(self, kind: str) -> None:
        """Tell that a list has changed."""
        self._tell(f"notifications/{kind}/list_changed", {})

    def on_update(self, params: Plain) -> None:
        """Tell that a resource was updated, if the client watches it."""
        if params["uri"] in self._watched:
            self._tell("notifications/resources/updated", params)

    def on_task(self, job: Job) -> None:
        """Tell that a task of this session has another status, and how far it is."""
        if job.owner is self:
            if job.token is not None:
                self._tell("notifications/progress", job.progress)
            self._tell("notifications/tasks/status", job.core)

    def _tell(self, method: str, params: Plain) -> None:
        self._send(write({"jsonrpc": "2.0", "method": method, "params": params}))

    async def ask(self, plain: Plain, exchange: Exchange) -> Plain:
        """Ask the client and return its response."""
        request_id, future = self._question(plain, exchange)
        try:
            return await future
        except asyncio.CancelledError:  # an answer may be under way
            self._withdrawn.add(request_id)
            raise
        finally:
            self._questions.pop(request_id, None)

    async def withdraw(self, plain: Plain, exchange: Exchange) -> None:
        """Ask the client and take the question back at once."""
        request_id, _ = self._question(plain, exchange)
        self._withdrawn.add(request_id)
        del self._questions[request_id]
        params = {"requestId": json.loads(request_id), "reason": "never mind"}
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        self._send_question(write(cancelled), exchange)
        await asyncio.sleep(PAUSE_S)  # on a stream of its own it may come after the answer

    def _question(self, plain: Plain, exchange: Exchange) -> "tuple[str, asyncio.Future[Plain]]":
        number = next(self._question_ids)
        request_id = json.dumps(number if number % 2 else f"ask-{number}")
        future = asyncio.get_running_loop().create_future()
        self._questions[request_id] = future
        message = write({"jsonrpc": "2.0", "id": json.loads(request_id), **plain})
        self._send_question(message, exchange)
        return request_id, future

    def _send_question(self, text: str, exchange: Exchange) -> None:
        if self._asks_on_session:
            self._send(text)
        else:
            exchange.send(text)

    def take(self, message: Plain, raw: str, exchange: Exchange) -> None:
        """Take one message of the client; the answer to a request goes to the exchange."""
        if "method" not in message:
            self._take_response(message, raw)
        elif "id" not in message:
            self._take_notification(message, raw)
        else:
            self._take_request(message, raw, exchange)

    def _take_response(self, message: Plain, raw: str) -> None:
        request_id = json.dumps(message.get("id"))
        future = self._questions.pop(request_id, None)
        if future is not None and not future.done():
            future.set_result({key: message[key] for key in ("result", "error") if key in message})
        elif future is None and request_id not in self._withdrawn:
            self._server.recorder.fault("an answer to nothing", raw)

    def _take_notification(self, message: Plain, raw: str) -> None:
        method, params = message["method"], message.get("params", {})
        if method == "notifications/initialized":
            self._initialized = True
        elif method == "notifications/cancelled":
            request_id = json.dumps(params.get("requestId"))
            if request_id not in self._ids:
                self._server.recorder.fault("a cancellation of nothing", raw)
            if request_id in self._running:
                self._running[request_id].cancel()

    def _take_request(self, message: Plain, raw: str, exchange: Exchange) -> None:
        request_id, method = json.dumps(message["id"]), message["method"]
        if request_id in self._ids:
            self._server.recorder.fault("an id is used again", raw)
        self._ids.add(request_id)
        if not self._initialized and method not in ("initialize", "ping", "server/discover"):
            self._server.recorder.fault("a request before initialized", raw)
        self._check_params(message.get("params", {}), raw, is_probe=method == "server/discover")
        work = answer(message["id"], lambda: self._result(message, exchange), exchange.finish)
        task = self._server.tasks.spawn(work)
        self._running[request_id] = task
        task.add_done_callback(lambda _: self._running.pop(request_id, None))

    def _check_params(self, params: Plain, raw: str, *, is_probe: bool) -> None:
        if is_probe:
            return
        if _FORBIDDEN_META & (params.get("_meta") or {}).keys():
            self._server.recorder.fault("modern metadata in a legacy request", raw)
        if {"inputResponses", "requestState"} & params.keys():
            self._server.recorder.fault("a modern retry in a legacy request", raw)
        if "task" in params and params.get("name") != JOB:
            self._server.recorder.fault("a wish for a task where none was offered", raw)

    async def _result(self, message: Plain, exchange: Exchange) -> str:
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            return write(self._initialize(params))
        if method in LISTS:
            return f"{{{self._server.list_page(method, params)}}}"
        if method in ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
            self._set(method, params)
            return "{}"
        if method == "server/discover":
            raise RpcError(METHOD_NOT_FOUND, "no such method")
        note = self._server.recorder.note
        call = Call(params, exchange, self._capabilities, self, note)
        result = await run_legacy(self._server.jobs, method, call)
        return write(await self._server.run(method, call) if result is None else result)

    def _initialize(self, params: Plain) -> Plain:
        wanted = params.get("protocolVersion")
        self.revision = wanted if wanted in REVISIONS else REVISIONS[-1]
        self._capabilities = params["capabilities"]
        self.is_open = True
        self._server.listeners.add(self)
        self._server.recorder.note(
            "open", connection=self.connection, capabilities=self._capabilities
        )
        return {
            "protocolVersion": self.revision, "capabilities": {**CAPABILITIES, "tasks": CORE},
            "serverInfo": self._server.info, "instructions": self._server.instructions,
        }  # fmt: skip

    def _set(self, method: str, params: Plain) -> None:
        if method == "logging/setLevel":
            self._level = LEVELS.index(params["level"])
        elif method == "resources/subscribe":
            self._watched.add(params["uri"])
        elif method == "resources/unsubscribe":
            with contextlib.suppress(KeyError):
                self._watched.remove(params["uri"])

    def close(self) -> None:
        """End the session: the client has gone."""
        if self.is_open:
            self.is_open = False
            self._server.listeners.discard(self)
            self._server.recorder.note("close", connection=self.connection)
        for task in list(self._running.values()):
            task.cancel()
