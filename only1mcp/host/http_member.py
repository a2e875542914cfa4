"""A session with a legacy HTTP server that serves one client at a time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import (
    Cancel,
    Outgoing,
    ReplySink,
    Respond,
    awaited_task,
)
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.backends.http_session import HttpSession
from only1mcp.backends.open_questions import OpenQuestions
from only1mcp.errors import (
    BackendError,
    BackendUnreachable,
    NoStream,
    Only1MCPError,
)
from only1mcp.host.member import NO_TASKS, Tell, untold, unturned
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.progress import token_of
from only1mcp.protocol.subscriptions import UPDATED, is_of_session
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks

T = TypeVar("T")
STREAM_S = 2.0
"""How long a call waits for the session's own stream: many servers ask their questions there."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
"""How long a stream that ended is left alone, and at most one that cannot be had."""


@dataclass(eq=False, frozen=True, slots=True)
class _Call:
    """A call under way; what its own stream brings is for nobody else."""

    outgoing: Outgoing
    sink: ReplySink
    questions: OpenQuestions
    beside: Tell
    """Takes what comes on the call's stream and is about the whole session."""

    def on_message(self, message: Envelope) -> None:
        if message.method == "notifications/cancelled":
            self.questions.take_back(message)
        elif is_of_session(message.method):
            self.beside(message)
            if message.method != UPDATED and not self.outgoing.session:
                self.sink.on_message(message)  # who has no session has no lists of their own
        else:
            self.sink.on_message(message)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        self.questions.put(message, respond, self.sink)

    def on_reply(self, reply: Envelope) -> None:
        self.sink.on_reply(reply)
        self.questions.ended(self.sink, replied=True)

    def on_failure(self, error: Only1MCPError) -> None:
        self.sink.on_failure(error)
        self.questions.ended(self.sink)


class HttpMember:
    """Implements `only1mcp.host.member.Member`; keeps to one instance while that can be reached.

    Args:
        server: what the session is with.
        client: for HTTP.
        features: what the server may ask of the client.
        tasks: runs what takes time.
        first: the instance to begin with; the others are tried in their order.
    """

    def __init__(
        self, server: Server, client: aiohttp.ClientSession, features: Feature, tasks: Tasks,
        first: int = 0,
    ) -> None:  # fmt: skip
        self.features = features
        self.ended = False
        self.pid = 0
        self._tasks = tasks
        self._sessions = deque(
            open_session(server, client, tasks, place.url, features) for place in server.instances
        )
        self._sessions.rotate(-first)
        self.tell: Tell = untold
        self.turned = unturned
        self._calls: list[_Call] = []
        self._questions = OpenQuestions(self._carriers)
        self._questions.keeps = False
        self._streaming = asyncio.Event()
        self._known: object | None = None
        """The session that was used last."""
        self._missed = False
        """Whether its stream broke off, or could not be had."""
        self._is_open = False
        self._following = tasks.spawn(self._follow())

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._calls)

    @property
    def _session(self) -> HttpSession:
        """The session with the instance that is used now."""
        return self._sessions[0]

    async def hello(self) -> Hello:
        """Return what the server said when we met.

        Raises:
            BackendError: we did not.
        """
        return await self._reached(lambda session: session.hello())

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request."""
        call = _Call(outgoing, sink, self._questions, self._heard)
        self._calls.append(call)
        task = self._tasks.spawn(self._run(call))
        self._questions.began()

        def cancel() -> None:
            task.cancel()
            self._forget(call)
            self._tasks.spawn(self._let_go(task, sink))

        return cancel

    async def _let_go(self, task: "asyncio.Task[None]", sink: ReplySink) -> None:
        """Free the questions of a call once the server knows that it was cancelled.

        One that learned first that nobody answers would end the call by itself.
        """
        await asyncio.wait({task})
        await self._session.flushed()
        self._questions.ended(sink)

    def notify(self, method: str) -> None:
        """Send a notification."""
        self._tasks.spawn(self._notify(method))

    async def _notify(self, method: str) -> None:
        with contextlib.suppress(BackendError):  # the next call finds out
            await self._session.notify(method)

    async def _run(self, call: "_Call") -> None:
        try:
            reply = await self._reached(lambda session: self._request(session, call))
        except Only1MCPError as error:
            self._forget(call)
            call.on_failure(error)
            return
        self._forget(call)
        call.on_reply(reply)

    async def _request(self, session: HttpSession, call: "_Call") -> Envelope:
        """Send a request; a server that cannot tell us apart would list the tasks of others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S):
                await self._streaming.wait()
        if call.outgoing.method == "tasks/list" and not session.is_exclusive:
            return scan(NO_TASKS)
        reply = await session.request(call.outgoing, call)
        self._note_session()
        return reply

    async def _reached(self, work: Callable[[HttpSession], Awaitable[T]]) -> T:
        """Do something at the instance that is used, or at the next one that can be reached."""
        for _ in range(len(self._sessions) - 1):
            session = self._session
            try:
                return await work(session)
            except BackendUnreachable:
                self._leave(session)
        return await work(self._session)

    def _leave(self, session: HttpSession) -> None:
        """Go on at the next instance, unless that was done already; nothing ran at this one."""
        if session is self._session and not self.ended:
            self._sessions.rotate(-1)
            self._following.cancel()
            self._streaming.clear()
            self._following = self._tasks.spawn(self._follow())
            self._tasks.spawn(session.close())

    def _forget(self, call: "_Call") -> None:
        if call in self._calls:
            self._calls.remove(call)

    async def _follow(self) -> None:
        """Hold the session's own stream; a server may have none."""
        session, pause_s = self._session, _PAUSE_S
        while True:
            try:
                await session.follow(self._heard, self._questions.put, self._opened)
                pause_s = _PAUSE_S
            except NoStream:
                self._streaming.set()
                return
            except BackendError:
                pause_s = min(4 * (_PAUSE_S if self._is_open else pause_s), _LONGEST_PAUSE_S)
                self._missed = True
            self._is_open = False
            self._streaming.set()
            await asyncio.sleep(pause_s)

    def _opened(self) -> None:
        """Let calls go on that wait for the stream."""
        missed, self._missed = self._missed, False
        self._is_open = True
        self._note_session(missed=missed)
        self._streaming.set()

    def _note_session(self, *, missed: bool = False) -> None:
        """See whether what was asked of the session is forgotten, or updates may be missed."""
        known, self._known = self._known, self._session.opened
        if missed or (known is not None and known is not self._known):
            self.turned()

    def _heard(self, message: Envelope) -> None:
        """Bring a notification to the call that it belongs to, or else to the client."""
        if message.method == "notifications/cancelled":
            self._questions.take_back(message)
            return
        call = self._calls[-1] if self._calls else None
        if message.method == "notifications/progress":
            token = token_of(message.body[message.params_start : message.params_end]) or b""
            call = next((one for one in self._calls if one.outgoing.token == token), None)
        elif message.method != "notifications/message":
            call = None
        if call is None:
            self.tell(message)
        else:
            call.sink.on_message(message)

    def keep_questions(self) -> None:
        """Let questions wait for the next call: all are one client's, for good."""
        self._questions.keeps = True

    def follow_client(self, stream: ReplySink | None) -> None:
        """Put questions of no call on the client's own stream from now on, while it has one."""
        self._questions.follow(stream)

    def _carriers(self, task: str | None) -> Iterable[ReplySink]:
        """Return the calls that can carry a question: of a task, those for its result."""
        calls = reversed(self._calls)
        return (one.sink for one in calls if task in (None, awaited_task(one.outgoing)))

    async def stop(self) -> None:
        """End the session."""
        self.ended = True
        self._questions.clear()
        self._following.cancel()
        await asyncio.gather(*(session.close() for session in self._sessions))
