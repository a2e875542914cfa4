"""One channel to a server and the session on it, from its opening to its end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import NOTHING
from only1mcp.backends.handshake import Hello
from only1mcp.backends.pipe_handshake import shake_hands
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.errors import BackendLost, BackendTimeout, BackendUnreachable
from only1mcp.host.environment import child_environment
from only1mcp.host.standard_error import StandardError
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.lines import SkippedLine
from only1mcp.registry.server import Server
from only1mcp.transports.channel import Channel, ChannelObserver
from only1mcp.transports.legacy_sse import LegacySseChannel
from only1mcp.transports.stdio import ChildProcess
from only1mcp.transports.websocket import WebSocketChannel

STOP_GRACE_S = 2.0
SLOW_START = 12
"""How many times the handshake's time a server may take for its first word: some are installed
while they start."""
_LAST_WORDS_S = 1.0
"""A child that takes no input any more is about to end, and then it is known why."""


class Connection:
    """Implements `ChannelObserver` for the channel that it opens.

    Args:
        server: where to.
        client: for channels over the network.
        on_notification: takes what belongs to no call.
        features: what the server may ask of the client; with any, the connection is one client's.
    """

    def __init__(
        self, server: Server, client: aiohttp.ClientSession,
        on_notification: Callable[[Envelope], None], features: Feature = NOTHING,
    ) -> None:  # fmt: skip
        self.session = PipeSession(server.id, self._write, on_notification, features)
        self.channel: Channel | None = None
        self.forwarder: Any = None
        """Takes plain calls from the workers' fast lanes, if the connection can serve several."""
        self.reason = ""
        """Why it ended, with what it said last: for operators, not for clients."""
        self._server = server
        self._client = client
        self._stderr = StandardError(server.id)

    async def open(
        self, *, probe: bool, is_slow: bool = False, patience_s: float | None = None
    ) -> Hello:
        """Connect, and meet the server.

        Args:
            probe: whether the server can stand one.
            is_slow: whether its first word is worth waiting for when that is about the probe.
            patience_s: time for its first word; by default as long as an installation may take.

        Raises:
            BackendUnreachable: there is no connection.
            BackendLost: it ended at once.
            BackendTimeout: the server stays silent.
            AnsweredLate: it is slow.
            BackendProtocolError: it speaks no revision of MCP that we know.
        """
        timeout_s = self._server.handshake_timeout_s
        patience_s = patience_s or SLOW_START * timeout_s
        self.channel = await dial(self._server, self._client, self)
        if isinstance(self.channel, ChildProcess) and not self.session.features:
            self.forwarder = self.session.forward(self.channel.write_lines)
        try:
            return await shake_hands(
                self.session, patience_s if is_slow else timeout_s, patience_s, probe=probe
            )
        except BackendTimeout as error:
            error.detail = error.detail or self._babbled.removeprefix("; ")
            raise
        except BackendUnreachable:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self.ended()
                    raise BackendLost(self.reason) from None
            raise

    async def ended(self) -> None:
        """Wait for its end."""
        if self.channel is not None:
            await self.channel.exited.wait()

    async def close(self, *, orderly: bool) -> None:
        """End it, in order or at once."""
        channel = self.channel
        if channel is None:
            return
        if orderly:
            await channel.stop(STOP_GRACE_S)
        elif not channel.exited.is_set():
            channel.kill()
            await channel.exited.wait()
        self.channel = None  # not before: whoever reaps orphans asks whose process it is

    @property
    def pid(self) -> int:
        """The child's process; 0 when there is none."""
        return 0 if self.channel is None else self.channel.pid

    def _write(self, message: bytes) -> bool:
        return self.channel is not None and self.channel.write(message)

    def on_line(self, message: bytes) -> None:
        """Take one message of the server."""
        self.session.on_line(message)

    def on_skipped(self, line: SkippedLine) -> None:
        """Take what is left of a message that was too large."""
        self.session.on_skipped(line)

    def on_lines(self, messages: list[bytes]) -> None:
        """Take messages of the server."""
        self.session.on_lines(messages)

    def on_stderr(self, line: bytes) -> None:
        """Take a line of the child's standard error."""
        self._stderr.take(line)

    def on_exit(self, reason: str) -> None:
        """Fail what was under way."""
        self.reason = reason + self._stderr.last_words + self._babbled
        self.session.close(reason)

    @property
    def _babbled(self) -> str:
        """What explains much about a server that does not answer: it says something else."""
        babble = self.session.babble
        return f"; it prints what is no message: {babble}" if babble else ""


async def dial(server: Server, client: aiohttp.ClientSession, observer: ChannelObserver) -> Channel:
    """Open a channel to a server, of the kind that its transport is.

    Raises:
        BackendError: there is none to be had.
    """
    if server.transport == "stdio":
        command = [server.command, *server.args]
        env = child_environment(server.env)
        return await ChildProcess.spawn(command, env, server.cwd, observer)
    url, headers = server.instances[0].url, dict(server.headers)
    if server.transport == "sse":
        return await LegacySseChannel.open(
            client, server.id, url, headers, server.handshake_timeout_s, observer
        )
    if server.transport == "websocket":
        return await WebSocketChannel.open(
            client, server.id, url, headers, server.handshake_timeout_s, observer
        )
    raise BackendUnreachable(f"server {server.id} has no channel")
