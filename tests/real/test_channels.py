"""Sessions on network channels to servers that others wrote: met, listed and called."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import Hello
from only1mcp.backends.pipe_handshake import shake_hands
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.errors import BackendLost, BackendUnreachable
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.channel import Channel
from only1mcp.transports.legacy_sse import LegacySseChannel
from only1mcp.transports.streamable_http import make_client
from only1mcp.transports.websocket import WebSocketChannel
from tests.real.http_server import HttpServer
from tests.real.installed import NODE, PY1, program
from tests.support.heard import Heard
from tests.support.loop import PATIENCE_S, on_loop

pytestmark = pytest.mark.real
Open = Callable[..., Awaitable[Channel]]


class Caller(Heard):
    """Implements `ChannelObserver`; keeps a session on the channel."""

    def __init__(self) -> None:
        super().__init__()
        self.channel: Channel | None = None
        self.notified: list[Any] = []
        self.session = PipeSession("srv", self._write, self.notified.append)

    def _write(self, message: bytes) -> bool:
        return self.channel is not None and self.channel.write(message)

    def on_line(self, message: bytes) -> None:
        """Pass a message to the session."""
        super().on_line(message)
        self.session.on_line(message)

    def on_exit(self, reason: str) -> None:
        """Fail what is under way."""
        super().on_exit(reason)
        self.session.close(reason)

    async def ask(self, method: str, params: bytes = b"") -> dict[str, Any]:
        """Send a request and return its result."""
        outgoing = Outgoing(method, params, Era.LEGACY)
        reply = await self.session.request(outgoing, PATIENCE_S)
        assert reply.result_end, reply.body
        result: dict[str, Any] = orjson.loads(reply.body)["result"]
        return result


@dataclass(frozen=True)
class Kind:
    """A server of one transport, and what one of its tools does."""

    open: Open
    url: str
    command: tuple[str, ...]
    tool: str
    arguments: str
    says: str
    slow: str
    """A call that takes longer than any test."""


EVERYTHING = Kind(
    LegacySseChannel.open, "http://127.0.0.1:{}/sse",
    (NODE, str(program("server-everything")), "sse"), "echo", '{{"message":"{}"}}', "Echo: {}",
    '{"name":"trigger-long-running-operation","arguments":{"duration":600,"steps":1}}',
)  # fmt: skip
PYTHON1 = Kind(
    WebSocketChannel.open, "ws://127.0.0.1:{}/ws", (PY1, "-m", "tests.real.servers.py1_websocket"),
    "add", '{{"a":0,"b":{}}}', "{}", '{"name":"nap","arguments":{"seconds":600}}',
)  # fmt: skip
BOTH = pytest.mark.parametrize("kind", [EVERYTHING, PYTHON1], ids=["sse", "websocket"])


@asynccontextmanager
async def session(kind: Kind, port: int) -> AsyncIterator[tuple[Caller, Hello]]:
    """Meet a server for the time of a block."""
    caller = Caller()
    async with make_client() as client:
        url = kind.url.format(port)
        caller.channel = await kind.open(client, "srv", url, {}, PATIENCE_S, caller)
        try:
            yield caller, await shake_hands(caller.session, PATIENCE_S, PATIENCE_S, probe=True)
        finally:
            await caller.channel.stop(PATIENCE_S)
            assert len(caller.exits) == 1


async def call(kind: Kind, caller: Caller, number: int) -> str:
    """Call the tool; return the text of its result."""
    params = f'{{"name":"{kind.tool}","arguments":{kind.arguments.format(number)}}}'
    result = await caller.ask("tools/call", params.encode())
    text: str = result["content"][0]["text"]
    return text


async def fail(caller: Caller, params: str) -> None:
    """Make a call whose channel is lost."""
    with pytest.raises(BackendLost, match=r"server srv .+ during the call"):
        await caller.ask("tools/call", params.encode())


@BOTH
@on_loop
async def test_a_server_is_met_listed_and_called(kind: Kind) -> None:
    """Also after the probe, which it does not understand."""
    with HttpServer(kind.command) as server:
        async with session(kind, server.port) as (caller, hello):
            assert (hello.era, hello.info["name"] != "") == (Era.LEGACY, True)
            tools = [tool["name"] for tool in (await caller.ask("tools/list"))["tools"]]
            assert kind.tool in tools
            assert await call(kind, caller, 1) == kind.says.format(1)


@BOTH
@on_loop
async def test_many_calls_at_once_get_their_own_answers(kind: Kind) -> None:
    """On one channel."""
    with HttpServer(kind.command) as server:
        async with session(kind, server.port) as (caller, _):
            said = await asyncio.gather(*(call(kind, caller, number) for number in range(200)))
            assert said == [kind.says.format(number) for number in range(200)]


@BOTH
@on_loop
async def test_a_server_that_dies_is_noticed_and_can_be_met_again(kind: Kind) -> None:
    """What was under way fails at once; a new channel starts anew."""
    with HttpServer(kind.command) as server:
        async with session(kind, server.port) as (caller, _):
            slow = Tasks().spawn(fail(caller, kind.slow))
            assert await call(kind, caller, 1) == kind.says.format(1)
            server.kill()
            await slow
            with pytest.raises(BackendUnreachable, match="takes no more input"):
                await call(kind, caller, 2)
        server.start()
        async with session(kind, server.port) as (caller, _):
            assert await call(kind, caller, 3) == kind.says.format(3)
