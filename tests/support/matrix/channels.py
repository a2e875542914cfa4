"""The transports on which all messages share one channel: stdio, WebSocket, HTTP+SSE."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable

from tests.support.matrix.legacy import LegacySession
from tests.support.matrix.modern import MODERN, ModernService
from tests.support.matrix.questions import Plain
from tests.support.matrix.server import MatrixServer

_VERSION = "io.modelcontextprotocol/protocolVersion"


class Channel:
    """One client on a channel; implements `Exchange` for all of its requests.

    Args:
        server: what is served.
        via: the transport, for the record.
        write: takes messages for the client.
    """

    def __init__(self, server: MatrixServer, via: str, write: Callable[[str], None]) -> None:
        self.send = write
        self._server = server
        self._via = via
        self._session = LegacySession(server, write)
        self._modern = ModernService(server, is_channel=True)
        self._running: dict[str, asyncio.Task[None]] = {}

    def finish(self, text: str) -> None:
        """Send an answer."""
        self.send(text)

    def hang_up(self) -> None:
        """Do nothing: a channel has no streams to break off."""

    def take(self, raw: str) -> None:
        """Take one message."""
        message: Plain = json.loads(raw)
        params = message.get("params") or {}
        is_modern = _VERSION in (params.get("_meta") or {})
        self._server.recorder.note(
            "message", connection=self._session.connection, via=self._via, headers={}, raw=raw,
            era="modern" if is_modern else "legacy", method=message.get("method"),
        )  # fmt: skip
        if is_modern and "modern" in self._server.eras:
            self._take_modern(message, raw)
        elif "legacy" in self._server.eras:
            self._session.take(message, raw, self)
        elif message.get("method") == "notifications/cancelled":
            self._cancel(message, raw)
        elif "id" in message:
            if "method" not in message or message["method"] != "initialize":
                self._server.recorder.fault("a legacy message", raw)
            self._refuse(message["id"])

    def _refuse(self, request_id: object) -> None:
        data = {"supported": [MODERN], "requested": None}
        error = {"code": -32022, "message": f"only {MODERN} is spoken here", "data": data}
        self.send(json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}))

    def _take_modern(self, message: Plain, raw: str) -> None:
        if "method" not in message:
            self._server.recorder.fault("an answer in the modern era", raw)
        elif "id" not in message:
            self._cancel(message, raw)
        else:
            task = self._server.tasks.spawn(self._modern.serve(message, raw, self))
            key = json.dumps(message["id"])
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))

    def _cancel(self, message: Plain, raw: str) -> None:
        if message["method"] != "notifications/cancelled":
            self._server.recorder.fault("a notification that the modern era does not have", raw)
            return
        task = self._running.get(json.dumps(message["params"]["requestId"]))
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """End everything: the client has gone."""
        self._session.close()
        for task in list(self._running.values()):
            task.cancel()


async def serve_stdio(server: MatrixServer) -> None:
    """Serve on standard input and output until the input ends."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, b"")

    def write(text: str) -> None:
        rest = text.encode() + b"\n"
        while rest:
            rest = rest[os.write(1, rest) :]

    channel = Channel(server, "stdio", write)
    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        channel.take(line.decode())
    channel.close()
