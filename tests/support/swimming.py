"""A pool of fake connections, and all that comes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.handshake import Hello
from only1mcp.host.member import Tell, untold, unturned
from only1mcp.host.pool import Pool
from only1mcp.host.status import Observer
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from tests.support.sink import Sink

REPLY = scan(b'{"jsonrpc":"2.0","id":1,"result":{}}')


class FakeMember:
    """Implements `Member`; answers when the test says."""

    def __init__(self, features: Feature, pid: int) -> None:
        self.features = features
        self.ended = False
        self.tell: Tell = untold
        self.turned = unturned
        self.pid = pid
        self.calls: list[tuple[Outgoing, ReplySink]] = []
        self.cancelled = 0
        self.notified: list[str] = []
        self.keeps_questions = False
        self.stream: ReplySink | None = None
        self.stopped = 0
        self.may_stop = asyncio.Event()
        self.may_stop.set()

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self.calls)

    async def hello(self) -> Hello:
        """Return what the server said."""
        return Hello(Era.LEGACY, "2025-11-25")

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a request."""
        entry = (outgoing, sink)
        self.calls.append(entry)

        def cancel() -> None:
            self.cancelled += 1
            self.calls.remove(entry)

        return cancel

    def answer(self) -> None:
        """Answer the oldest call."""
        self.calls.pop(0)[1].on_reply(REPLY)

    def keep_questions(self) -> None:
        """Be one client's for good."""
        self.keeps_questions = True

    def follow_client(self, stream: ReplySink | None) -> None:
        """Note the client's own stream."""
        self.stream = stream

    def notify(self, method: str) -> None:
        """Take a notification."""
        self.notified.append(method)

    async def stop(self) -> None:
        """End, once that is allowed."""
        self.ended = True
        self.stopped += 1
        await self.may_stop.wait()


class Swimming:
    """A pool with all that were ever in it."""

    def __init__(self, limit: int) -> None:
        self.members: list[FakeMember] = []
        self.said: list[tuple[str, int, Envelope]] = []
        self.tasks = Tasks()
        self.changed: list[tuple[str, int, str | None]] = []
        self.updated: list[tuple[tuple[str, int], str]] = []
        observer = Observer(
            on_said=self._on_said, on_own_lists=self._on_own_lists, on_updated_for=self._on_updated
        )
        self.pool = Pool("srv", self._make, limit, self.tasks, observer)

    def _make(self, features: Feature) -> FakeMember:
        member = FakeMember(features, 100 + len(self.members))
        self.members.append(member)
        return member

    def _on_said(self, server_id: str, serial: int, message: Envelope) -> None:
        self.said.append((server_id, serial, message))

    def _on_updated(self, server_id: str, caller: tuple[str, int], uri: str, params: bytes) -> None:
        del server_id, params
        self.updated.append((caller, uri))

    def _on_own_lists(self, server_id: str, serial: int, member: object, message: Envelope) -> None:
        del member
        self.changed.append((server_id, serial, message.method))

    def call(
        self, session: int = 0, features: Feature = Feature.ELICIT_FORM, **more: object
    ) -> tuple[Sink, Cancel]:
        """Call for a session, or for a modern client."""
        sink = Sink()
        outgoing = Outgoing("tools/call", b"{}", Era.LEGACY, features=features, session=session)
        for name, value in more.items():
            setattr(outgoing, name, value)
        return sink, self.pool.call(outgoing, sink)


@asynccontextmanager
async def swimming(limit: int = 10) -> AsyncIterator[Swimming]:
    """Make a pool for the time of a block."""
    subject = Swimming(limit)
    try:
        yield subject
    finally:
        for member in subject.members:
            member.may_stop.set()
        await subject.pool.close()
        await subject.tasks.cancel_all()
        assert subject.pool.pids == set()
