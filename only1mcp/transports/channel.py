"""Channels: connections on which messages go both ways at any time.

A child process, a WebSocket and the HTTP+SSE transport of 2024-11-05 wear the same face, so that
whoever keeps a session on one of them need not know which it is.
"""

import asyncio
from typing import Protocol

from only1mcp.protocol.lines import SkippedLine

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""What one message of a server may hold."""
MAX_UNSENT_BYTES = 32 * 1024 * 1024
"""What may wait to be sent before a channel takes no more."""


class ChannelObserver(Protocol):
    """Who hears from a channel."""

    def on_line(self, message: bytes) -> None:
        """Take one message, whole."""

    def on_skipped(self, line: SkippedLine) -> None:
        """Take what is left of a message that was too large to be held."""

    def on_lines(self, messages: list[bytes]) -> None:
        """Take messages that came together, in order; what a child says comes so."""

    def on_stderr(self, line: bytes) -> None:
        """Take one line of standard error; only a child has one."""

    def on_exit(self, reason: str) -> None:
        """Learn, once, that the channel is gone and why; nothing is said after it."""


class Channel(Protocol):
    """One connection, from when it is open to its end."""

    pid: int
    """The process at its other end; 0 when that is not ours to know."""
    exited: asyncio.Event
    """Set once the channel is gone."""

    def write(self, message: bytes) -> bool:
        """Send one message; False when the channel takes no more."""

    async def stop(self, grace_s: float) -> None:
        """End it in order: what was written is sent, and the other side may end by itself."""

    def kill(self) -> None:
        """End it at once."""
