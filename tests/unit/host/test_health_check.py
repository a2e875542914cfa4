"""Checks of a server on a channel: what counts as silence, and what as life."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing, Respond
from only1mcp.backends.pipe_session import PipeSession
from only1mcp.errors import Only1MCPError
from only1mcp.host.health_check import HealthCheck
from only1mcp.host.second_chance import SecondChance
from only1mcp.memory.instances import loose
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Server
from tests.support.loop import eventually, on_loop

MANY = 8


class Client:
    """Implements `ReplySink` for a call that a client waits for."""

    def on_message(self, message: Envelope) -> None:
        """Let it pass."""

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Let it pass."""

    def on_reply(self, reply: Envelope) -> None:
        """Let it pass."""

    def on_failure(self, error: Only1MCPError) -> None:
        """Let it pass."""


class Hanging:
    """A server's end of a channel, which answers checks or not, and what is said of it."""

    def __init__(self, era: Era, timeout_s: float) -> None:
        self.answers = False
        self.instead: Callable[[], None] | None = None
        """What it does instead of answering."""
        self.asked: list[str] = []
        self.verdicts: list[str] = []
        self.session = PipeSession("srv", self._read, lambda message: None)
        server = Server(
            "srv", "stdio", "srv", timeout_s=timeout_s, check_interval_s=0.005,
            check_timeout_s=0.005, check_failures=3,
        )  # fmt: skip
        self.check = HealthCheck(
            lambda: server, self.session, era, self.verdicts.append,
            SecondChance(loose(), lambda: server.breaker),
        )  # fmt: skip

    def _read(self, line: bytes) -> bool:
        message = scan(line)
        if message.id is not None:
            self.asked.append(message.method or "")
            if self.answers:
                reply = b'{"jsonrpc":"2.0","id":%b,"result":{}}' % message.id
                asyncio.get_running_loop().call_soon(self.session.on_line, reply)
            elif self.instead is not None:
                asyncio.get_running_loop().call_soon(self.instead)
        return True

    async def many_checks(self) -> None:
        """Wait until it was asked some more times."""
        seen = len(self.asked)
        await eventually(lambda: len(self.asked) >= seen + MANY, "more checks")

    async def told(self, count: int) -> None:
        """Wait for so many verdicts."""
        await eventually(lambda: len(self.verdicts) == count, f"{count} verdicts")


@asynccontextmanager
async def hanging(era: Era = Era.LEGACY, timeout_s: float = 300.0) -> AsyncIterator[Hanging]:
    """Check a server for the time of a block."""
    subject = Hanging(era, timeout_s)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(subject.check.run())
        yield subject
        running.cancel()


@pytest.mark.parametrize(("era", "method"), [(Era.LEGACY, "ping"), (Era.MODERN, "server/discover")])
@on_loop
async def test_a_silent_server_is_down_until_it_answers(era: Era, method: str) -> None:
    """It is asked on, and told of once each time."""
    async with hanging(era) as subject:
        await subject.told(1)
        assert subject.verdicts == ["3 health checks in a row were not answered"]
        await subject.many_checks()
        subject.answers = True
        await subject.told(2)
        assert subject.verdicts[1] == ""
        assert set(subject.asked) == {method}


@on_loop
async def test_a_server_that_answers_is_left_alone() -> None:
    """Nothing is said of it."""
    async with hanging() as subject:
        subject.answers = True
        await subject.many_checks()
        assert subject.verdicts == []


@on_loop
async def test_whatever_a_server_says_shows_that_it_lives() -> None:
    """An unanswered check does not count when something else came meanwhile."""
    async with hanging() as subject:
        note = b'{"jsonrpc":"2.0","method":"notifications/message"}'
        subject.instead = partial(subject.session.on_line, note)
        await subject.many_checks()
        assert subject.verdicts == []


@on_loop
async def test_a_server_that_works_on_a_call_may_be_silent() -> None:
    """It may do one thing at a time; once no call is under way, silence counts."""
    async with hanging() as subject:
        cancel = subject.session.call(Outgoing("tools/call", b"{}", Era.LEGACY), Client())
        await subject.many_checks()
        assert subject.verdicts == []
        cancel()
        await subject.told(1)


@on_loop
async def test_no_call_excuses_more_silence_than_a_call_may_take() -> None:
    """Whoever called has given up by then."""
    async with hanging(timeout_s=0.05) as subject:
        subject.session.call(Outgoing("tools/call", b"{}", Era.LEGACY), Client())
        await subject.told(1)


@on_loop
async def test_the_end_of_the_channel_is_no_verdict() -> None:
    """It is told elsewhere."""
    async with hanging() as subject:
        subject.instead = partial(subject.session.close, "exited")
        await subject.many_checks()
        assert subject.verdicts == []
