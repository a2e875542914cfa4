"""A session on a channel of lines: many calls at once on one child process."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from only1mcp._speedups import REQUEST, RESPONSE, Envelope, Forwarder, scan
from only1mcp.backends.call import (
    NOTHING,
    Cancel,
    Outgoing,
    ReplySink,
    ask,
    awaited_task,
    refusal,
)
from only1mcp.backends.handshake import Hello
from only1mcp.backends.multiplexer import Multiplexer
from only1mcp.backends.open_questions import OpenQuestions
from only1mcp.backends.pipe_notices import Waiting, is_of_client, recipient
from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Only1MCPError,
    Overloaded,
)
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.cancellation import CANCELLED, NOT_CANCELLED, cancellation
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.glimpse import glimpse
from only1mcp.protocol.lines import SkippedLine
from only1mcp.protocol.log_levels import LEVELS
from only1mcp.protocol.raw_object import fields
from only1mcp.protocol.versions import Era

_log = logging.getLogger(__name__)
MAX_PENDING = 10_000


def _nothing() -> None:
    """Cancel a call that never was; nobody waits for what is there already."""


class PipeSession:
    """Pairs calls and replies; knows nothing of processes.

    Args:
        name: the server's id, for messages and logs.
        write: sends one message; False when the channel takes none.
        on_notification: takes the notifications that belong to no call.
        features: what the server was told that it may ask of the client; with any, all calls on
            the channel must be one client's.
    """

    def __init__(
        self, name: str, write: Callable[[bytes], bool],
        on_notification: Callable[[Envelope], None], features: Feature = NOTHING,
    ) -> None:  # fmt: skip
        self.features = features
        self.heard = 0
        """How many messages the server has sent."""
        self.ignores_probe = False
        """Whether the server passed over the probe, and answered what came after it."""
        self._name = name
        self._write = write
        self._on_notification = on_notification
        self._calls: Multiplexer[Waiting] = Multiplexer()
        self._garbage = 0
        self.babble = ""
        """What it said first that was no message, and why that is none; empty when nothing was."""
        self._hello: Hello | None = None
        self._level: int | None = None
        self._questions = OpenQuestions(self._carriers)
        self._is_one_client_s = False
        self._forwarder: Any = None

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; its end reaches the sink."""
        if len(self._calls) >= MAX_PENDING:
            sink.on_failure(Overloaded(f"server {self._name} has too many calls under way"))
            return _nothing
        if outgoing.level is not None:
            self.lower_level(outgoing.level)
        waiting = Waiting(sink, outgoing.token, outgoing.level, awaited_task(outgoing))
        request_id = self._calls.open(waiting)
        if not self._write(jsonrpc.request(request_id, outgoing.method, outgoing.params)):
            self._calls.take(request_id)
            sink.on_failure(BackendUnreachable(f"server {self._name} takes no more input"))
            return _nothing
        self._questions.began()
        tells = outgoing.method not in NOT_CANCELLED
        return lambda: self._cancel(request_id, tells=tells)

    def opened(self, hello: Hello) -> None:
        """Note what the server said when we met; from now on calls may be any client's."""
        self._hello = hello
        self._questions.keeps = self._is_one_client_s

    def keep_questions(self) -> None:
        """Let questions wait for the next call: all are one client's, for good."""
        self._is_one_client_s = self._questions.keeps = True

    def follow_client(self, stream: ReplySink | None) -> None:
        """Put questions of no call on the client's own stream from now on, while it has one."""
        self._questions.follow(stream)

    def forward(self, write_lines: Callable[[bytes], bool]) -> Any:
        """Return what brings workers' plain calls here past this code; None where all is pure.

        Args:
            write_lines: sends whole lines, all or none.
        """
        if Forwarder is not None:
            self._forwarder = Forwarder(
                self._calls.waiting, self._calls.take_ids, write_lines, self._take,
                self._note_garbage, self._cancel, MAX_PENDING,
            )  # fmt: skip
        return self._forwarder

    def lower_level(self, level: int) -> None:
        """Have the server log as much as any client wants; each gets what it asked for."""
        hello = self._hello
        if hello is None or hello.era is not Era.LEGACY:
            return
        if "logging" in hello.capabilities and (self._level is None or level < self._level):
            self._level = level
            params = b'{"level":"%b"}' % LEVELS[level].encode()
            self._write(jsonrpc.request(self._calls.unheard(), "logging/setLevel", params))

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return len(self._calls) > 0

    @property
    def serving(self) -> bool:
        """Whether calls of clients are under way, not only requests of our own."""
        return any(map(is_of_client, self._calls))

    async def listen(self, outgoing: Outgoing, on_event: Callable[[Envelope], None]) -> None:
        """Hold a modern subscription; what it brings comes as notifications of the channel.

        Raises:
            BackendError: it was refused, or the channel is gone.
        """
        del on_event
        reply = await ask(self.call, outgoing)
        if not reply.result_end:
            raise BackendProtocolError(f"server {self._name} refused to be listened to")

    async def follow(
        self, on_event: Callable[[Envelope], None], on_open: Callable[[], None] = _nothing
    ) -> None:
        """Wait: what a legacy server says comes on the channel by itself."""
        del on_event
        on_open()
        await asyncio.get_running_loop().create_future()

    def _cancel(self, request_id: bytes, *, tells: bool = True) -> None:
        """Forget the call and tell the server (basic/patterns/cancellation)."""
        waiting = self._calls.take(request_id)
        if waiting is not None:
            if tells:
                self._write(cancellation(request_id))
            self._questions.ended(waiting.sink)

    def notify(self, method: str, params: bytes = b"") -> None:
        """Send a notification."""
        self._write(jsonrpc.notification(method, params))

    async def request(self, outgoing: Outgoing, timeout_s: float) -> Envelope:
        """Send a request of our own and wait for the response.

        Raises:
            BackendTimeout: it did not come in time.
            Only1MCPError: the call failed.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await ask(self.call, outgoing)
        except TimeoutError:
            raise BackendTimeout(
                f"server {self._name} did not answer {outgoing.method} within {timeout_s:g} s"
            ) from None

    def on_lines(self, lines: list[bytes]) -> None:
        """Take messages from the server, in order."""
        if self._forwarder is None:
            for line in lines:
                self.on_line(line)
        else:
            self.heard += len(lines)
            self._forwarder.hear(lines)

    def on_line(self, line: bytes) -> None:
        """Take one message from the server."""
        self.heard += 1
        try:
            message = scan(line)
        except Only1MCPError as error:
            self._note_garbage(line, error)
        else:
            self._take(message)

    def _take(self, message: Envelope) -> None:
        if message.kind == RESPONSE:
            waiting = self._calls.take(message.id or b"")
            if waiting is not None:
                waiting.sink.on_reply(message)
                self._questions.ended(waiting.sink, replied=True)
        elif message.kind == REQUEST:
            self._ask(message)
        elif message.method is not None:
            self._notice(message)

    def on_skipped(self, line: SkippedLine) -> None:
        """End the one call or question that a message was about that is too large to be held."""
        about = glimpse(line.head, line.tail)
        text = f"server {self._name} sent a message of {line.size} bytes, which is too large"
        _log.warning(text, extra={"server": self._name, "detail": repr(line.head[:200])})
        error = BackendProtocolError(text)
        if about.id and about.method:
            self._write(jsonrpc.response(about.id, jsonrpc.error_member(error)))
            return
        waiting = self._calls.take(about.id)
        if waiting is not None:
            waiting.sink.on_failure(error)
            self._questions.ended(waiting.sink)

    def _ask(self, message: Envelope) -> None:
        """Put the server's question to the one client that it can concern."""
        request_id = message.id or b"null"

        def respond(member: bytes) -> None:
            self._write(jsonrpc.response(request_id, member))

        if self.features:
            self._questions.put(message, respond)
        else:
            respond(refusal(message))

    def _carriers(self, task: str | None) -> Iterable[ReplySink]:
        """Return the calls that can carry a question: of a task, those for its result."""
        waiting = self._calls.newest_first()
        return (one.sink for one in waiting if task is None or one.task == task)

    def _notice(self, message: Envelope) -> None:
        """Bring a notification to the call that it belongs to, if it can be told."""
        if message.method == CANCELLED:
            self._take_back(message)
            return
        waiting = recipient(self._calls, message, modern=self._is_modern)
        if waiting is not None:
            waiting.sink.on_message(message)
        else:
            self._on_notification(message)

    def _take_back(self, message: Envelope) -> None:
        """Tell of a question that is not asked any more, or of a subscription that has ended.

        Legacy servers cancel requests of their own, whose ids are not ours; modern ones have none,
        and end our subscriptions so (2026-07-28, basic/patterns/cancellation).
        """
        if not self._is_modern:
            self._questions.take_back(message)
            return
        named = fields(message.body[message.params_start : message.params_end]).get("requestId")
        waiting = self._calls.take(named or b"")
        if waiting is not None:
            waiting.sink.on_failure(BackendLost(f"server {self._name} ended the request"))

    @property
    def _is_modern(self) -> bool:
        return self._hello is not None and self._hello.era is Era.MODERN

    def _note_garbage(self, line: bytes, error: Only1MCPError) -> None:
        self._garbage += 1
        self.babble = self.babble or f"{error}: {line[:100].decode(errors='replace')!r}"
        if self._garbage in (1, 10, 100) or self._garbage % 1000 == 0:
            _log.warning(
                "not an MCP message on standard output (%d so far)", self._garbage,
                extra={"server": self._name, "detail": f"{error}: {line[:200]!r}"},
            )  # fmt: skip

    def close(self, reason: str) -> None:
        """End all calls under way: the channel is gone."""
        self._questions.clear()
        for waiting in self._calls.drain():
            waiting.sink.on_failure(BackendLost(f"server {self._name} {reason} during the call"))


class PipeAsker:
    """Asks in our own name on a pipe session, each request within a time."""

    def __init__(self, session: PipeSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response.

        Raises:
            BackendError: there is none, or none in time.
        """
        return await self._session.request(outgoing, self._timeout_s)
