"""Listening to what a modern server says of the tasks that clients watch."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import Hello
from only1mcp.errors import BackendProtocolError
from only1mcp.host.feed import Hearing
from only1mcp.host.relisting import Relisting
from only1mcp.host.status import Observer
from only1mcp.host.task_feed import TaskWatches
from only1mcp.host.watches import Watches
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.task_members import REQUIRED_CAPABILITIES
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import OnEvent, OnOpen
from tests.support.loop import eventually, on_loop
from tests.support.messages import OWN, notification

HELLO = Hello(Era.MODERN, "2026-07-28", REQUIRED_CAPABILITIES)
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


class Server:
    """Implements `Followed`: it acknowledges subscriptions and holds them."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        """The parameters of each subscription."""
        self.open: list[OnEvent] = []
        """Takes notifications, for each that is held."""
        self.refuses = False
        self.got: list[str | None] = []
        """The tasks that were asked for."""
        self.before_answer: Callable[[], None] = lambda: None

    async def listen(self, outgoing: Outgoing, on_event: OnEvent) -> None:
        """Hold a subscription."""
        self.asked.append(json.loads(outgoing.params))
        if self.refuses:
            raise BackendProtocolError("refused")
        on_event(scan(notification(ACKNOWLEDGED, self.asked[-1])))
        self.open.append(on_event)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.open.remove(on_event)

    async def follow(self, on_event: OnEvent, *, on_open: OnOpen) -> None:
        """Have nothing of the kind: this is a modern server."""
        raise AssertionError(on_event, on_open)

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Answer `tasks/get`."""
        assert json.loads(outgoing.params)["taskId"] == outgoing.target
        self.got.append(outgoing.target)
        self.before_answer()
        if outgoing.target == "lost":
            return scan(jsonrpc.error(b"1", b'{"code":-32602,"message":"lost"}'))
        value: dict[str, Any] = {
            "resultType": "complete",
            "taskId": outgoing.target,
            "status": "now",
            "_meta": {},
        }
        return scan(jsonrpc.result(b"1", json.dumps(value).encode()))

    @property
    def watched(self) -> list[list[str]]:
        """The tasks of each subscription so far."""
        return [asked["notifications"]["taskIds"] for asked in self.asked]


class Subject:
    """The watches of a server, and what is heard."""

    def __init__(self) -> None:
        self.server = Server()
        self.heard: list[tuple[str, str, bytes]] = []
        self.tasks = Tasks()

        async def relist(kinds: frozenset[str]) -> None:
            raise AssertionError(kinds)

        def ignore(*what: object) -> None:
            del what

        def hear(server_id: str, task_id: str, params: bytes) -> None:
            self.heard.append((server_id, task_id, params))

        observer = Observer(ignore, ignore, ignore, ignore, hear)
        relisting = Relisting("srv", relist, self.tasks)
        self.watches = TaskWatches(Hearing("srv", Watches(), observer, relisting, self.tasks))


@asynccontextmanager
async def listening(hello: Hello = HELLO) -> AsyncIterator[Subject]:
    """Listen for the time of a block."""
    subject = Subject()
    subject.tasks.spawn(subject.watches.listen(subject.server, subject.server, hello))
    await asyncio.sleep(0)
    try:
        yield subject
    finally:
        await subject.tasks.cancel_all()


@on_loop
async def test_a_watched_task_is_listened_for_until_nobody_watches_it() -> None:
    """By a client that declares the extension; a new subscription takes the old one's place."""
    async with listening() as subject:
        server, watches = subject.server, subject.watches
        watches.watch("t1", 1)
        await eventually(lambda: server.watched == [["t1"]] and server.open, "the first")
        capabilities = server.asked[0]["_meta"][OWN + "clientCapabilities"]
        assert capabilities == REQUIRED_CAPABILITIES
        watches.watch("t1", 2)
        watches.watch("t2", 2)
        await eventually(lambda: server.watched == [["t1"], ["t1", "t2"]], "the second")
        await eventually(lambda: len(server.open) == 1, "the first to end")
        watches.unwatch("t1", 1)
        watches.unwatch("t2", 2)
        await eventually(lambda: server.watched[-1] == ["t1"], "the third")
        watches.unwatch("t1", 2)
        await eventually(lambda: not server.open, "the last to end")
        assert len(server.asked) == 3


@on_loop
async def test_what_the_server_says_of_a_task_is_heard() -> None:
    """With all that it says; what names no task is not."""
    async with listening() as subject:
        subject.watches.watch("t1", 1)
        await eventually(lambda: subject.server.open, "the subscription")
        await eventually(lambda: subject.heard, "what it has become by now")
        for params in ({"taskId": "t1", "status": "working"}, {"taskId": 1}, {}):
            subject.server.open[0](scan(notification("notifications/tasks", params)))
        assert subject.heard[1:] == [("srv", "t1", b'{"taskId": "t1", "status": "working"}')]
        subject.watches.heard(scan(notification("notifications/tasks", {"taskId": "t2"})))
        assert subject.heard[2][1] == "t2"


@on_loop
async def test_what_a_task_became_before_we_listened_is_asked_for_once() -> None:
    """Whatever else is watched later; a task that the server lost is no news."""
    async with listening() as subject:
        subject.watches.watch("t1", 1)
        await eventually(lambda: subject.heard, "the first")
        assert subject.heard == [("srv", "t1", b'{"taskId":"t1","status":"now"}')]
        subject.watches.watch("lost", 1)
        subject.watches.watch("t2", 1)
        await eventually(lambda: len(subject.heard) == 2, "the last")
        assert subject.server.got == ["t1", "lost", "t2"]
        assert subject.heard[1][1] == "t2"


@on_loop
async def test_an_answer_that_comes_after_news_is_old() -> None:
    """A task must not seem to go backwards."""
    async with listening() as subject:
        said = scan(notification("notifications/tasks", {"taskId": "t1", "status": "ended"}))
        subject.server.before_answer = lambda: subject.watches.heard(said)
        subject.watches.watch("t1", 1)
        await eventually(lambda: subject.heard, "the news")
        await asyncio.sleep(0)
        (heard,) = subject.heard
        assert json.loads(heard[2])["status"] == "ended"


@on_loop
async def test_the_tasks_of_a_worker_that_is_gone_are_not_watched_any_more() -> None:
    """Nor those of its streams alone."""
    async with listening() as subject:
        link = object()
        subject.watches.watch("t1", (link, 1))
        subject.watches.watch("t2", (object(), 1))
        await eventually(lambda: subject.server.watched[-1:] == [["t1", "t2"]], "both")
        subject.watches.drop_link(link)
        await eventually(lambda: subject.server.watched[-1] == ["t2"], "the other")


@on_loop
async def test_watches_outlast_the_server_s_sessions() -> None:
    """They may even begin while there is none."""
    subject = Subject()
    subject.watches.watch("t1", 1)
    subject.watches.heard(scan(notification("notifications/tasks", {"taskId": "t1"})))
    assert subject.heard == []
    for _ in range(2):
        listening = subject.tasks.spawn(
            subject.watches.listen(subject.server, subject.server, HELLO)
        )
        await eventually(lambda: subject.server.open, "the subscription")
        listening.cancel()
        await eventually(lambda: not subject.server.open, "its end")
    assert subject.server.watched == [["t1"], ["t1"]]
    await subject.tasks.cancel_all()


@pytest.mark.parametrize(
    "hello", [Hello(Era.LEGACY, "2025-11-25", REQUIRED_CAPABILITIES), Hello(Era.MODERN, "x", {})]
)
@on_loop
async def test_a_server_without_the_extension_is_left_alone(hello: Hello) -> None:
    """It would not know what is asked of it."""
    async with listening(hello) as subject:
        subject.watches.watch("t1", 1)
        await asyncio.sleep(0)
        assert subject.tasks.spawn(asyncio.sleep(0)) is not None
        assert subject.server.asked == []


@on_loop
async def test_a_refused_subscription_is_no_reason_to_ask_without_end() -> None:
    """The server is left alone for a while."""
    async with listening() as subject:
        subject.server.refuses = True
        subject.watches.watch("t1", 1)
        await eventually(lambda: subject.server.asked, "the subscription")
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(subject.server.asked) == 1
