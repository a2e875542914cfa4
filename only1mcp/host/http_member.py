"""A session with a legacy HTTP server that serves one client at a time."""

import asyncio
import contextlib

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink, Respond, refusal
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.errors import BackendError, Only1MCPError
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks

STREAM_S = 2.0
"""How long a call waits for the session's own stream: many servers ask their questions there."""


class HttpMember:
    """Implements `only1mcp.host.pool.Member`."""

    def __init__(
        self, server: Server, client: aiohttp.ClientSession, features: Feature, tasks: Tasks
    ) -> None:
        self.features = features
        self.ended = False
        self.pid = 0
        self._tasks = tasks
        self._session = open_session(server, client, tasks, server.instances[0].url, features)
        self._sinks: list[ReplySink] = []
        self._streaming = asyncio.Event()
        self._following = tasks.spawn(self._follow())

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._sinks)

    async def hello(self) -> Hello:
        """Return what the server said when we met.

        Raises:
            BackendError: we did not.
        """
        return await self._session.hello()

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request."""
        self._sinks.append(sink)
        task = self._tasks.spawn(self._run(outgoing, sink))

        def cancel() -> None:
            task.cancel()
            self._forget(sink)

        return cancel

    def notify(self, method: str) -> None:
        """Send a notification."""
        self._tasks.spawn(self._notify(method))

    async def _notify(self, method: str) -> None:
        with contextlib.suppress(BackendError):  # the next call finds out
            await self._session.notify(method)

    async def _run(self, outgoing: Outgoing, sink: ReplySink) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._streaming.wait(), STREAM_S)
        try:
            reply = await self._session.request(outgoing, sink)
        except Only1MCPError as error:
            self._forget(sink)
            sink.on_failure(error)
            return
        self._forget(sink)
        sink.on_reply(reply)

    def _forget(self, sink: ReplySink) -> None:
        if sink in self._sinks:
            self._sinks.remove(sink)

    async def _follow(self) -> None:
        """Hold the session's own stream; a server may have none."""
        try:
            while True:
                await self._session.follow(self._heard, self._asked, self._streaming.set)
                await asyncio.sleep(0.1)
        except BackendError:
            self._streaming.set()

    def _heard(self, message: Envelope) -> None:
        """Let pass what belongs to no call: the host's own session hears it as well."""
        if self._sinks and message.method in ("notifications/message", "notifications/progress"):
            self._sinks[-1].on_message(message)

    def _asked(self, message: Envelope, respond: Respond) -> None:
        """Put a question to the one client whose session this is."""
        if self._sinks:
            self._sinks[-1].on_request(message, respond)
        else:
            respond(refusal(message))

    async def stop(self) -> None:
        """End the session."""
        self.ended = True
        self._following.cancel()
        await self._session.close()
