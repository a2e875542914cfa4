"""A server that can be heard, scripted, and who hears it through a feed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import Hello
from only1mcp.errors import (
    Only1MCPError,
)
from only1mcp.host.feed import Feed, Hearing
from only1mcp.host.relisting import Relisting
from only1mcp.host.status import Observer
from only1mcp.host.watches import Watches
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from tests.support.loop import eventually
from tests.support.messages import notification

OnEvent = Callable[[Envelope], None]
OnOpen = Callable[[], None]
ACKNOWLEDGED = notification("notifications/subscriptions/acknowledged", {"notifications": {}})
OK = b'{"jsonrpc":"2.0","id":1,"result":{}}'
NO = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"not here"}}'


@dataclass(eq=False)
class Stream:
    """One stream that is held, or was."""

    wanted: dict[str, Any]
    on_event: OnEvent
    ended: "asyncio.Future[None]"

    @property
    def cancelled(self) -> bool:
        """Whether the feed gave it up."""
        return self.ended.cancelled()

    def say(self, message: bytes) -> None:
        """Send a message on it."""
        self.on_event(scan(message))


@dataclass
class Server:
    """Implements `Followed` and `Asker`; the test says what happens on its streams."""

    acknowledges: bool = True
    streams: list[Stream] = field(default_factory=list)
    failures: list[Only1MCPError] = field(default_factory=list)
    """How the next streams fail."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    replies: list[bytes | Only1MCPError] = field(default_factory=list)
    """What the next requests are answered, if it is not agreed to."""

    async def listen(self, outgoing: Outgoing, on_event: OnEvent) -> None:
        """Hold a subscription."""
        assert outgoing.method == "subscriptions/listen"
        await self._hold(json.loads(outgoing.params)["notifications"], on_event)

    async def follow(self, on_event: OnEvent, *, on_open: OnOpen) -> None:
        """Hold a session's stream."""
        if not self.failures:
            on_open()
        await self._hold({}, on_event)

    async def _hold(self, wanted: dict[str, Any], on_event: OnEvent) -> None:
        stream = Stream(wanted, on_event, asyncio.get_running_loop().create_future())
        self.streams.append(stream)
        if self.failures:
            stream.ended.set_result(None)
            raise self.failures.pop(0)
        if self.acknowledges:
            stream.say(ACKNOWLEDGED)
        await stream.ended

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Answer a request of the host's own."""
        self.requests.append((outgoing.method, json.loads(outgoing.params)["uri"]))
        await asyncio.sleep(0)
        reply = self.replies.pop(0) if self.replies else OK
        if isinstance(reply, Only1MCPError):
            raise reply
        return scan(reply)

    @property
    def open(self) -> list[Stream]:
        """The streams that are held now."""
        return [one for one in self.streams if not one.ended.done()]


class Ears:
    """A feed with all that it tells."""

    def __init__(
        self, server: Server, era: Era, capabilities: dict[str, Any] | None, *, is_late: bool
    ) -> None:
        self.updated: list[tuple[str, str, bytes]] = []
        self.logged: list[tuple[str, bytes]] = []
        self.relisted: list[frozenset[str]] = []
        self.watches = Watches()
        self.tasks = Tasks()
        self.server = server
        observer = Observer(
            lambda status: None, lambda catalogue, kinds: None,
            lambda *what: self.updated.append(what), lambda *what: self.logged.append(what),
        )  # fmt: skip
        relisting = Relisting("srv", self._relist, self.tasks)
        hearing = Hearing("srv", self.watches, observer, relisting, self.tasks)
        hello = Hello(era, "v", capabilities or {})
        self.feed = Feed(hearing, server, server, hello, is_late=is_late)

    async def _relist(self, kinds: frozenset[str]) -> None:
        self.relisted.append(kinds)

    async def stream(self, count: int = 1) -> Stream:
        """Wait until so many streams were opened; return the last."""
        await eventually(lambda: len(self.server.streams) >= count, f"{count} streams")
        return self.server.streams[count - 1]


@asynccontextmanager
async def hearing(
    era: Era = Era.MODERN,
    server: Server | None = None,
    capabilities: dict[str, Any] | None = None,
    *,
    is_late: bool = False,
) -> AsyncIterator[Ears]:
    """Listen to a server for the time of a block."""
    ears = Ears(server or Server(), era, capabilities, is_late=is_late)
    running = ears.tasks.spawn(ears.feed.run())
    try:
        yield ears
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert ears.server.open == []
        await ears.tasks.cancel_all()
