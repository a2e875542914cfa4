"""`connect`: MCP on standard input and output, carried to the gateway over HTTP.

For clients that can only start a program. Messages pass unchanged; the bridge adds the headers that
HTTP needs, keeps the legacy session's id, and turns a cancellation into the end of its request.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import click
import orjson

from only1mcp._speedups import NOTIFICATION, REQUEST, Envelope, scan
from only1mcp.cli.gateway import endpoint
from only1mcp.cli.output import port_option, say, url_option
from only1mcp.errors import BackendProtocolError, BackendUnreachable, Only1MCPError, ParseError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.headers import encode_value
from only1mcp.protocol.lines import LineReader, LineTooLong
from only1mcp.tasks import Tasks

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_END_TIMEOUT_S = 2.0


@click.command("connect")
@click.argument("target", required=False, metavar="[URL]")
@url_option
@port_option
def connect_command(target: str | None, url: str | None, port: int | None) -> None:
    """Speak MCP on stdin and stdout, for clients that only do that."""
    asyncio.run(_connect(endpoint(target or url, port)))


async def _connect(url: str) -> None:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        bridge = Bridge(url, client)
        reader = LineReader(MAX_MESSAGE_BYTES)
        async for chunk in _input():
            for line in _lines(reader, chunk):
                await bridge.take(line)
        await bridge.close()


async def _input() -> AsyncIterator[bytes]:
    """Read standard input in a thread: it may be a file, which no event loop can wait for."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

    def read() -> None:
        chunk = b"begin"
        while chunk:
            chunk = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
            asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await chunks.get():
        yield chunk


def _lines(reader: LineReader, chunk: bytes) -> list[bytes]:
    """Return the lines that are complete; one that is too long is answered with an error."""
    try:
        return reader.feed(chunk)
    except LineTooLong as error:
        _write(jsonrpc.error_from(None, ParseError(str(error))))
        return error.before


class Bridge:
    """Carries one client's messages."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url = url
        self._client = client
        self._tasks = Tasks()
        self._under_way: dict[bytes, asyncio.Task[None]] = {}
        self._session: str | None = None
        self._version: str | None = None

    async def take(self, line: bytes) -> None:
        """Carry one message; requests run side by side, but for `initialize`."""
        try:
            message = scan(line)
        except Only1MCPError as error:
            _write(jsonrpc.error_from(None, error))
            return
        if message.kind == NOTIFICATION and self._cancels(message):
            return
        task = self._tasks.spawn(self._carry(message))
        if message.kind == REQUEST and message.id is not None:
            self._under_way[message.id] = task
            task.add_done_callback(lambda _: self._under_way.pop(message.id or b"", None))
        if message.method == "initialize":
            await asyncio.wait([task])

    def _cancels(self, message: Envelope) -> bool:
        """On HTTP a modern client cancels by closing the stream (basic/patterns/cancellation)."""
        if message.method != "notifications/cancelled" or self._session is not None:
            return False
        params = orjson.loads(message.body[message.params_start : message.params_end] or b"{}")
        task = self._under_way.get(orjson.dumps(params.get("requestId")))
        if task is not None:
            task.cancel()
        return True

    async def _carry(self, message: Envelope) -> None:
        try:
            await self._post(message)
        except (aiohttp.ClientError, OSError) as error:
            say(f"only1mcp connect: {self._url} cannot be reached: {error}")
            if message.kind == REQUEST:
                failure = BackendUnreachable(
                    f"the gateway at {self._url} cannot be reached", hint="only1mcp start"
                )
                _write(jsonrpc.error_from(message.id, failure))

    async def _post(self, message: Envelope) -> None:
        headers = self._headers(message)
        async with self._client.post(self._url, data=message.body, headers=headers) as response:
            if message.method == "initialize":
                self._session = response.headers.get("Mcp-Session-Id")
            if response.content_type == "text/event-stream":
                reader = EventReader(MAX_MESSAGE_BYTES)
                async for chunk in response.content.iter_any():
                    for event in reader.feed(chunk):
                        if event.data:
                            self._deliver(message, event.data)
                return
            body = await response.read()
            if message.kind == REQUEST:
                self._deliver(message, _answer(message, response.status, body))

    def _deliver(self, message: Envelope, body: bytes) -> None:
        if message.method == "initialize":
            result: Any = orjson.loads(body).get("result") or {}
            self._version = result.get("protocolVersion")
        _write(body)

    def _headers(self, message: Envelope) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if message.version is not None:
            headers["MCP-Protocol-Version"] = message.version
            headers["Mcp-Method"] = message.method or ""
            target = message.uri if message.method == "resources/read" else message.name
            if target is not None:
                headers["Mcp-Name"] = encode_value(target)
            return headers
        if self._session is not None and message.method != "initialize":
            headers["Mcp-Session-Id"] = self._session
            if self._version is not None:
                headers["MCP-Protocol-Version"] = self._version
        return headers

    async def close(self) -> None:
        """Let requests finish and end the session: the client closed our input."""
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()), timeout=5.0)
        await self._tasks.cancel_all()
        if self._session is not None:
            headers = {"Mcp-Session-Id": self._session}
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with (
                    asyncio.timeout(_END_TIMEOUT_S),
                    self._client.delete(self._url, headers=headers),
                ):
                    pass


def _answer(request: Envelope, status: int, body: bytes) -> bytes:
    """Return the body if it answers the request, else the error that it stands for."""
    try:
        reply = scan(body)
    except Only1MCPError:
        failure = BackendProtocolError(f"the gateway answered HTTP {status} and no message")
        return jsonrpc.error_from(request.id, failure)
    if reply.error_end and reply.id in (None, b"null"):  # refused before anybody read the id
        return jsonrpc.error(request.id, body[reply.error_start : reply.error_end])
    return body


def _write(message: bytes) -> None:
    """Write one line; a message from the network may hold line ends between its tokens."""
    sys.stdout.buffer.write(message.replace(b"\r", b"").replace(b"\n", b" ") + b"\n")
    sys.stdout.buffer.flush()
