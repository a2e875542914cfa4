"""The other end of a channel of lines, in memory."""

import json
from collections.abc import Callable
from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.backends.pipe_handshake import shake_hands
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import NEWEST_LEGACY, Era
from tests.support.messages import MODERN
from tests.support.sink import Sink

Script = Callable[[Any], object]


class Peer:
    """The other end of the channel: it remembers what is written, and answers by a script."""

    def __init__(self, script: Script | None = None, features: Feature = NOTHING) -> None:
        self.written: list[bytes] = []
        self.notified: list[str] = []
        self.takes_more = True
        self._script = script
        self.session = PipeSession(
            "srv", self._write, lambda message: self.notified.append(message.method or ""), features
        )

    def _write(self, message: bytes) -> bool:
        if not self.takes_more:
            return False
        self.written.append(message)
        parsed = json.loads(message)
        if self._script is not None and "id" in parsed:
            answer = self._script(parsed)
            if answer is not None:
                self.say({"jsonrpc": "2.0", "id": parsed["id"], **answer})  # type: ignore[dict-item]
        return True

    def say(self, message: object) -> None:
        """Send the session a message."""
        self.session.on_line(json.dumps(message).encode())

    def fall_silent(self) -> None:
        """Answer nothing any more."""
        self._script = None

    def hear(self, message: Envelope) -> None:
        """Take what stands on a stream: there are none on a channel."""
        raise AssertionError(message.body)

    @property
    def messages(self) -> list[Any]:
        """What was written, parsed."""
        return [json.loads(message) for message in self.written]


def legacy_server(message: Any, **capabilities: object) -> object:
    """Answer as a server of 2025-11-25 with tools, and with these capabilities."""
    if message["method"] == "initialize":
        offered = {"tools": {}, **capabilities}
        return {"result": {"protocolVersion": NEWEST_LEGACY, "capabilities": offered}}
    return {"error": {"code": -32601, "message": "no"}}


def modern_server(message: Any) -> object:
    """Answer as a server of 2026-07-28."""
    if message["method"] == "server/discover":
        return {"result": {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}}
    return {"error": {"code": -32601, "message": "no"}}


def asked(*sinks: Sink) -> list[list[bytes | None]]:
    """Return the ids of the questions that each call heard."""
    return [[message.id for message, _ in sink.questions] for sink in sinks]


def ask(peer: Peer, request_id: int, **params: object) -> None:
    """Ask the client something."""
    peer.say({"jsonrpc": "2.0", "id": request_id, "method": "elicitation/create", "params": params})


def call(peer: Peer, token: str | None = None, level: int | None = None) -> Sink:
    """Begin a call; return what hears of it."""
    sink = Sink()
    raw = None if token is None else json.dumps(token).encode()
    peer.session.call(Outgoing("tools/call", b"{}", Era.LEGACY, token=raw, level=level), sink)
    return sink


def note(peer: Peer, method: str, **params: object) -> None:
    """Let the server send a notification."""
    peer.say({"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params})


async def met(script: Script, features: Feature = NOTHING) -> Peer:
    """Return a peer that we have met; its script answers nothing more."""
    peer = Peer(script, features)
    await shake_hands(peer.session, 30.0, 30.0, probe=True)
    peer.fall_silent()
    return peer
