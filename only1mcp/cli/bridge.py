"""`connect`: MCP on standard input and output, carried to the gateway over HTTP.

For clients that can only start a program. Messages pass unchanged. The bridge adds what HTTP needs
(headers, the legacy session's id and stream), and takes over what stdio says in another way: a
modern client's cancellation closes its request.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import click

from only1mcp._speedups import BATCH, NOTIFICATION, REQUEST, Envelope, scan
from only1mcp.cli.batch import BatchAnswers, batched_requests
from only1mcp.cli.gateway import endpoint
from only1mcp.cli.keys import key_option, read_key
from only1mcp.cli.output import port_option, say, url_option
from only1mcp.cli.pipes import Output, read_lines
from only1mcp.cli.remote import Remote
from only1mcp.errors import BackendLost, BackendUnreachable, Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.cancellation import CANCELLED, cancellation, cancelled_id
from only1mcp.protocol.event_stream import EventTooLong
from only1mcp.tasks import Tasks
from only1mcp.transports.opening import why_unreached

FINISH_S = 5.0
"""How long requests may take that are under way when the input ends."""
SENT_S = 5.0
"""How long a cancellation waits for its request to leave."""
OPENED_S = 5.0
"""How long the client's messages wait for the stream of its session to open."""
_LISTEN = "subscriptions/listen"


@click.command("connect")
@click.argument("target", required=False, metavar="[URL]")
@url_option
@port_option
@key_option
def connect_command(
    target: str | None, url: str | None, port: int | None, key_file: str | None
) -> None:
    """Speak MCP on stdin and stdout, for clients that only do that."""
    raise SystemExit(asyncio.run(carry(endpoint(target or url, port), key=read_key(key_file))))


async def carry(url: str, gone: "asyncio.Future[int] | None" = None, key: str | None = None) -> int:
    """Carry messages until the input ends, a signal comes or `gone` is set; returns the code."""
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[int] = loop.create_future() if gone is None else gone

    def stop(code: int) -> None:
        if not stopping.done():
            stopping.set_result(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 128 + number)
    output = Output(lambda: stop(0))
    tasks = Tasks()
    async with Remote(url, key) as remote:
        bridge = Bridge(remote, output.write)
        reading = tasks.spawn(_read(bridge, output))
        first: set[asyncio.Future[Any]] = {reading, stopping}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        await tasks.cancel_all()
        await bridge.close(0 if stopping.done() else FINISH_S)
    output.close()
    return stopping.result() if stopping.done() else 0


async def _read(bridge: "Bridge", output: Output) -> None:
    async for line in read_lines(output):
        await bridge.take(line)


@dataclass(slots=True)
class _UnderWay:
    """A request that is not answered yet."""

    task: asyncio.Task[None]
    message: Envelope
    sent: asyncio.Event
    is_cancelled: bool = False


class Bridge:
    """Carries one client's messages.

    Args:
        remote: where they go.
        write: takes each message for the client.
    """

    def __init__(self, remote: Remote, write: Callable[[bytes], None]) -> None:
        self._remote = remote
        self._write = write
        self._tasks = Tasks()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._following: asyncio.Task[None] | None = None

    async def take(self, line: bytes) -> None:
        """Take one message; they run side by side, but for those that open the session."""
        try:
            message = scan(line)
        except Only1MCPError as error:
            self._write(jsonrpc.error_from(None, error))
            return
        if message.kind == NOTIFICATION and message.method == CANCELLED:
            self._cancel(message)
        elif message.kind == REQUEST:
            await self._request(message)
        elif message.kind == BATCH:
            self._batch(message)
        else:
            task = self._tasks.spawn(self._carry(message, self._write, _nothing))
            if message.method == "notifications/initialized":
                await asyncio.wait([task])
                await _wait(self._follow())  # what is said next may cause what is told there

    async def close(self, patience_s: float) -> None:
        """End the session: the client has gone; what is under way may still be answered."""
        waited = [one.task for one in self._under_way.values() if one.message.method != _LISTEN]
        if waited and patience_s:
            await asyncio.wait(waited, timeout=patience_s)
        await self._tasks.cancel_all()
        await self._remote.end_session()

    async def _request(self, message: Envelope) -> None:
        if message.method == "initialize":
            await self._leave_session()
        key = message.id or b""
        sent = asyncio.Event()
        work = self._carry(message, lambda body: self._deliver(key, body), sent.set)
        entry = _UnderWay(self._tasks.spawn(work), message, sent)
        self._under_way[key] = entry
        entry.task.add_done_callback(lambda _: self._forget(key, entry))
        if message.method == "initialize":
            await asyncio.wait([entry.task])

    def _batch(self, message: Envelope) -> None:
        """Carry a batch; each of its requests can be taken back like any other."""
        sent = asyncio.Event()
        requests = batched_requests(message)
        task = self._tasks.spawn(self._carry_batch(message, requests, sent.set))
        for request in requests:
            key, entry = request.id or b"", _UnderWay(task, request, sent)
            self._under_way[key] = entry
            task.add_done_callback(partial(self._done, key, entry))

    async def _carry_batch(
        self, message: Envelope, requests: list[Envelope], on_sent: Callable[[], None]
    ) -> None:
        """Carry a batch to its end: one array of answers, however they come."""
        answers = BatchAnswers(self._write)
        failure = await self._post(message, answers.take, on_sent)
        answers.close(requests, failure)
        if b'"notifications/initialized"' in message.body:
            self._follow()

    def _done(self, key: bytes, entry: _UnderWay, task: "asyncio.Task[None]") -> None:
        del task
        self._forget(key, entry)

    def _forget(self, key: bytes, entry: _UnderWay) -> None:
        if self._under_way.get(key) is entry:
            del self._under_way[key]

    async def _leave_session(self) -> None:
        """Make room for another session."""
        if self._following is not None:
            self._following.cancel()
        await self._remote.end_session()

    def _follow(self) -> asyncio.Event:
        """Open the session's stream; returns what says that it is open, or cannot be now."""
        tried = asyncio.Event()
        if self._remote.has_session and (self._following is None or self._following.done()):
            self._following = self._tasks.spawn(self._remote.follow(self._write, tried.set))
            self._following.add_done_callback(lambda _: tried.set())
        else:
            tried.set()
        return tried

    def _cancel(self, cancelled: Envelope) -> None:
        """Stop a request: over HTTP a modern client closes its stream (patterns/cancellation)."""
        entry = self._under_way.get(cancelled_id(cancelled) or b"")
        if entry is None or entry.message.method == "initialize":
            return
        entry.is_cancelled = True
        if entry.message.version is not None:
            entry.task.cancel()
        else:
            self._tasks.spawn(self._cancel_after(entry, cancelled))

    async def _cancel_after(self, entry: _UnderWay, cancelled: Envelope) -> None:
        """Send a cancellation, which must not overtake what it is about."""
        try:
            async with asyncio.timeout(SENT_S):
                await entry.sent.wait()
        except TimeoutError:
            entry.task.cancel()
            return
        await self._carry(cancelled, self._write, _nothing)

    def _deliver(self, key: bytes, body: bytes) -> None:
        """Pass on what belongs to a request, unless it was cancelled."""
        entry = self._under_way.get(key)
        if entry is None or entry.is_cancelled:
            return
        self._write(body)
        if entry.message.method == _LISTEN and scan(body).result_end:
            self._write(cancellation(key))  # on stdio the end of a stream is told so as well

    async def _carry(
        self, message: Envelope, deliver: Callable[[bytes], None], on_sent: Callable[[], None]
    ) -> None:
        """Carry one message to its end, whatever that is."""
        failure = await self._post(message, deliver, on_sent)
        if failure is not None and message.kind == REQUEST:
            deliver(jsonrpc.error_from(message.id, failure))

    async def _post(
        self, message: Envelope, deliver: Callable[[bytes], None], on_sent: Callable[[], None]
    ) -> Only1MCPError | None:
        """Send a message and deliver what comes back; returns why there is no answer."""
        url = self._remote.url
        try:
            await self._remote.post(message, deliver, on_sent)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            say(f"only1mcp connect: {url} cannot be reached: {why_unreached(error)}")
            return BackendUnreachable(
                f"the gateway at {url} cannot be reached", hint="only1mcp start"
            )
        except (aiohttp.ClientError, OSError, EventTooLong) as error:
            say(f"only1mcp connect: the connection to {url} broke: {error!r}")
            return BackendLost(f"the connection to {url} broke; the call may have run")
        except Only1MCPError as error:
            return error
        return None


async def _wait(tried: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(OPENED_S):
            await tried.wait()


def _nothing() -> None:
    """Nobody waits for it to be sent."""
