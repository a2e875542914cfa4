"""Connections of single clients, as far as tasks live on them."""

import json
from typing import Any

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, FutureSink, Outgoing, ReplySink
from only1mcp.backends.handshake import Hello
from only1mcp.host import pool
from only1mcp.host.pool import Pool, Tell, untold
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.task_members import RELATED
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from tests.support.fake_backend import FakeBackend
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification

NOTHING = Feature(0)


class Connection:
    """Implements `Member` in memory."""

    def __init__(self, features: Feature) -> None:
        self.features = features
        self.ended = False
        self.pid = 0
        self.busy = False
        self.tell: Tell = untold
        self.backend = FakeBackend()

    async def hello(self) -> Hello:
        """Have met long ago."""
        return Hello(Era.LEGACY, "2025-11-25")

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Take a call."""
        return self.backend.call(outgoing, sink)

    def notify(self, method: str) -> None:
        """Nothing here changes."""

    async def stop(self) -> None:
        """End."""
        self.ended = True


class Subject:
    """A pool and the connections that it made."""

    def __init__(self, limit: int = 10) -> None:
        self.made: list[Connection] = []
        self.said: list[tuple[str, int, str | None]] = []
        self.tasks = Tasks()
        self.pool = Pool("srv", self._make, limit, self.tasks, self._hear)

    def _make(self, features: Feature) -> Connection:
        self.made.append(Connection(features))
        return self.made[-1]

    def _hear(self, server_id: str, serial: int, message: Envelope) -> None:
        self.said.append((server_id, serial, message.method))

    def call(self, method: str, session: int, **more: Any) -> FutureSink:
        """Send a request of a session about tasks."""
        sink = FutureSink()
        self.pool.call(
            Outgoing(method, b"", Era.LEGACY, session=session, own=True, **more), sink
        )  # fmt: skip
        return sink


@on_loop
async def test_all_about_the_tasks_of_a_session_goes_on_one_connection() -> None:
    """Also of a client that cannot be asked; another session has another."""
    subject = Subject()
    for method in ("tools/call", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel"):
        subject.call(method, 7)
    subject.call("tools/call", 8)
    first, second = subject.made
    assert [len(one.backend.calls) for one in (first, second)] == [5, 1]
    await subject.pool.close()


@on_loop
async def test_a_session_without_a_connection_has_no_tasks_to_list() -> None:
    """None is made to find that out."""
    subject = Subject()
    reply = await subject.call("tasks/list", 7).wait(1.0)
    assert json.loads(reply.body)["result"] == {"tasks": []}
    assert subject.made == []
    await subject.pool.close()


@on_loop
async def test_what_a_connection_says_of_tasks_is_said_to_its_session() -> None:
    """A connection that is no session's speaks to nobody; of all else others tell."""
    subject = Subject()
    subject.call("tools/call", 7)
    spare = subject.pool.take(NOTHING)
    for one in subject.made:
        one.tell(scan(notification("notifications/tasks/status", {"taskId": "t1"})))
        one.tell(scan(notification("notifications/tools/list_changed")))
        one.tell(scan(notification("notifications/message", {"level": "info"})))
        one.tell(scan(notification("notifications/message", {"_meta": {RELATED: {}}})))
    assert subject.said == [
        ("srv", 7, "notifications/tasks/status"), ("srv", 7, "notifications/message"),
    ]  # fmt: skip
    subject.pool.give_back(spare)
    await subject.pool.close()


@on_loop
async def test_a_connection_with_tasks_is_the_last_to_make_room() -> None:
    """They may run on while their client is silent."""
    subject = Subject(limit=2)
    subject.call("tools/call", 1)
    other = FutureSink()
    subject.pool.call(Outgoing("tools/call", b"", Era.LEGACY, session=2), other)
    subject.call("tools/call", 3)
    await eventually(lambda: subject.made[1].ended, "the one without tasks to end")
    assert not subject.made[0].ended
    await subject.pool.close()


@pytest.mark.parametrize("own", [False, True])
@on_loop
async def test_a_connection_with_tasks_outlives_the_others(
    own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client may come back for them."""
    monkeypatch.setattr(pool, "_SWEEP_S", 0.001)
    monkeypatch.setattr(pool, "SESSION_IDLE_S", 0.0)
    subject = Subject()
    sink = FutureSink()
    subject.pool.call(Outgoing("tools/call", b"", Era.LEGACY, session=1, own=own), sink)
    marker = subject.pool.take(NOTHING)
    subject.pool.give_back(marker)
    monkeypatch.setattr(pool, "SPARE_IDLE_S", 0.0)
    await eventually(lambda: subject.made[1].ended, "a sweep")
    assert subject.made[0].ended is not own
    await subject.pool.close()
