"""Connections of single clients to one server."""

import json

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendLost, Overloaded
from only1mcp.host import pool
from only1mcp.host.client_streams import ClientStreams
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.task_members import RELATED
from only1mcp.protocol.versions import Era
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.sink import Sink
from tests.support.swimming import swimming

NOTHING, FORM, ROOTS = Feature(0), Feature.ELICIT_FORM, Feature.ROOTS


@on_loop
async def test_a_session_keeps_its_connection() -> None:
    """For all its calls, at the same time or one after the other; no other session gets it."""
    async with swimming() as subject:
        subject.call(session=7)
        subject.call(session=7)
        subject.call(session=8)
        first, other = subject.members
        assert (len(first.calls), len(other.calls)) == (2, 1)
        first.answer()
        first.answer()
        subject.call(session=7)
        assert len(first.calls) == 1
        assert first.features is FORM


@on_loop
async def test_a_modern_client_has_a_connection_to_itself_for_each_call() -> None:
    """The next gets it when it is free, if it can be asked for the same."""
    async with swimming() as subject:
        sink, _ = subject.call()
        subject.call()
        assert len(subject.members) == 2
        subject.members[0].answer()
        assert len(sink.heard) == 1
        subject.call(features=ROOTS)
        subject.call()
        assert [len(member.calls) for member in subject.members] == [1, 1, 1]
        assert subject.members[2].features is ROOTS


@on_loop
async def test_a_spare_connection_belongs_to_no_session() -> None:
    """A session gets one of its own."""
    async with swimming() as subject:
        subject.call()
        subject.members[0].answer()
        subject.call(session=7)
        assert len(subject.members) == 2


@on_loop
async def test_what_is_asked_between_calls_waits_only_on_a_session_s_connection() -> None:
    """The next call on another one may be another client's."""
    async with swimming() as subject:
        subject.call()
        subject.call(session=7)
        assert [member.keeps_questions for member in subject.members] == [False, True]


@on_loop
async def test_the_connection_of_a_cancelled_call_goes_to_nobody_else() -> None:
    """The server may still run the call, and ask: that must not reach another client."""
    async with swimming() as subject:
        _, cancel = subject.call()
        cancel()
        cancel()
        (member,) = subject.members
        assert member.cancelled == 1
        await eventually(lambda: member.stopped == 1, "its end")
        subject.call()
        assert len(subject.members) == 2


@on_loop
async def test_cancelling_what_has_ended_takes_nothing_from_the_next_client() -> None:
    """Though it has the same connection now."""
    async with swimming() as subject:
        sink, cancel = subject.call()
        subject.members[0].answer()
        next_sink, _ = subject.call()
        cancel()
        (member,) = subject.members
        assert (member.cancelled, member.stopped) == (0, 0)
        member.answer()
        assert (len(sink.heard), len(next_sink.heard)) == (1, 1)
        subject.call()
        assert len(subject.members) == 1


@on_loop
async def test_a_session_that_cancels_keeps_its_connection() -> None:
    """What the server asks late is for the same client."""
    async with swimming() as subject:
        _, cancel = subject.call(session=7)
        cancel()
        subject.call(session=7)
        assert (len(subject.members), subject.members[0].cancelled) == (1, 1)


@on_loop
async def test_a_connection_that_is_given_back_twice_is_given_out_once() -> None:
    """No two clients share one."""
    async with swimming() as subject:
        member = subject.pool.take(FORM)
        subject.pool.give_back(member)
        subject.pool.give_back(member)
        assert subject.pool.take(FORM) is member
        assert subject.pool.take(FORM) is not member


@on_loop
async def test_a_connection_that_ended_is_replaced() -> None:
    """Whosever it was; a call that it took along ends once."""
    async with swimming() as subject:
        sink, _ = subject.call(session=7)
        _, failing = subject.members[0].calls.pop()
        subject.members[0].ended = True
        failing.on_failure(BackendLost("gone"))
        subject.call(session=7)
        assert (len(sink.heard), len(subject.members)) == (1, 2)
        subject.call()
        subject.members[2].answer()
        subject.members[2].ended = True
        subject.call()
        assert len(subject.members) == 4


@on_loop
async def test_one_that_still_does_something_is_not_given_to_others() -> None:
    """It is ended."""
    async with swimming() as subject:
        member = subject.pool.take(FORM)
        member.call(Outgoing("x", b"", Era.LEGACY), Sink())
        subject.pool.give_back(member)
        await eventually(lambda: subject.members[0].stopped == 1, "its end")


@on_loop
async def test_connections_are_bounded_and_the_longest_idle_gives_way() -> None:
    """One in use does not; when all are, the client is told to come again."""
    async with swimming(limit=2) as subject:
        for session in (7, 8):
            subject.call(session=session)
        refused, cancel = subject.call(session=9)
        cancel()
        modern, _ = subject.call()
        assert [type(sink.heard[0]) for sink in (refused, modern)] == [Overloaded, Overloaded]
        for member in reversed(subject.members):
            member.answer()
        subject.call(session=7)
        subject.members[0].answer()
        subject.call(session=9)
        await eventually(lambda: subject.members[1].stopped == 1, "the end of the idle one")
        assert subject.members[0].stopped == 0


@on_loop
async def test_what_is_not_used_for_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare ones soon, those of sessions later; nothing that is in use."""
    monkeypatch.setattr(pool, "_SWEEP_S", 0.01)
    monkeypatch.setattr(pool, "SPARE_IDLE_S", 0.0)
    async with swimming() as subject:
        subject.call(session=7)
        subject.members[0].answer()
        subject.call()
        subject.call()
        subject.members[1].answer()
        await eventually(lambda: subject.members[1].stopped == 1, "the end of the spare one")
        assert [member.stopped for member in subject.members] == [0, 1, 0]
        monkeypatch.setattr(pool, "SESSION_IDLE_S", 0.0)
        await eventually(lambda: subject.members[0].stopped == 1, "the end of the session's")
        assert subject.members[2].stopped == 0


@on_loop
async def test_a_session_that_ends_takes_its_connection_along() -> None:
    """Only its own."""
    async with swimming() as subject:
        subject.call(session=7)
        subject.call(session=8)
        subject.pool.end_session(7)
        subject.pool.end_session(9)
        await eventually(lambda: subject.members[0].stopped == 1, "its end")
        assert subject.members[1].stopped == 0


@on_loop
async def test_a_session_s_server_is_told_of_its_client() -> None:
    """Nobody else's is."""
    async with swimming() as subject:
        subject.call(session=7)
        subject.call(session=8)
        subject.call()
        subject.pool.notify(7, "notifications/roots/list_changed")
        subject.pool.notify(9, "notifications/roots/list_changed")
        assert [len(member.notified) for member in subject.members] == [1, 0, 0]


@on_loop
async def test_processes_are_known_until_they_have_ended() -> None:
    """Whoever reaps orphans must not take them for one."""
    async with swimming() as subject:
        subject.call(session=7)
        subject.call()
        assert subject.pool.pids == {100, 101}
        subject.members[0].may_stop.clear()
        subject.pool.end_session(7)
        await eventually(lambda: subject.members[0].stopped == 1, "the beginning of its end")
        assert subject.pool.pids == {100, 101}
        subject.members[0].may_stop.set()
        await eventually(lambda: subject.pool.pids == {101}, "its end")


@on_loop
async def test_all_about_the_tasks_of_a_session_goes_on_one_connection() -> None:
    """Also of a client that cannot be asked; another session has another."""
    async with swimming() as subject:
        for method in ("tools/call", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel"):
            subject.call(session=7, features=NOTHING, method=method, own=True)
        subject.call(session=8, features=NOTHING, own=True)
        assert [len(member.calls) for member in subject.members] == [5, 1]


@on_loop
async def test_a_session_without_a_connection_has_no_tasks_to_list() -> None:
    """None is made to find that out."""
    async with swimming() as subject:
        sink, cancel = subject.call(session=7, method="tasks/list", own=True)
        cancel()
        (reply,) = sink.heard
        assert isinstance(reply, Envelope)
        assert json.loads(reply.body)["result"] == {"tasks": []}
        assert subject.members == []


@on_loop
async def test_what_a_connection_says_of_tasks_urls_and_in_its_log_is_said_to_its_session() -> None:
    """A connection that is no session's speaks to nobody; of all else others tell."""
    async with swimming() as subject:
        subject.call(session=7, own=True)
        subject.call()
        for member in subject.members:
            member.tell(scan(notification("notifications/tasks/status", {"taskId": "t1"})))
            member.tell(scan(notification("notifications/tools/list_changed")))
            member.tell(scan(notification("notifications/elicitation/complete")))
            member.tell(scan(notification("notifications/message", {"level": "info"})))
            member.tell(scan(notification("notifications/message", {"_meta": {RELATED: {}}})))
        assert [(who, serial, message.method) for who, serial, message in subject.said] == [
            ("srv", 7, "notifications/tasks/status"),
            ("srv", 7, "notifications/elicitation/complete"),
            ("srv", 7, "notifications/message"),
            ("srv", 7, "notifications/message"),
        ]


@on_loop
async def test_a_connection_with_tasks_is_the_last_to_make_room() -> None:
    """They may run on while their client is silent."""
    async with swimming(limit=2) as subject:
        subject.call(session=7, own=True)
        subject.call(session=8)
        for member in subject.members:
            member.answer()
        subject.call(session=9)
        await eventually(lambda: subject.members[1].stopped == 1, "the end of the other")
        assert subject.members[0].stopped == 0


@pytest.mark.parametrize("own", [False, True])
@on_loop
async def test_a_connection_with_tasks_outlives_the_others(
    own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client may come back for them."""
    monkeypatch.setattr(pool, "_SWEEP_S", 0.001)
    async with swimming() as subject:
        subject.call(session=7, own=own)
        subject.call()
        for member in subject.members:
            member.answer()
        monkeypatch.setattr(pool, "SESSION_IDLE_S", 0.0)
        monkeypatch.setattr(pool, "SPARE_IDLE_S", 0.0)
        await eventually(lambda: subject.members[1].ended, "a sweep")
        assert subject.members[0].ended is not own


@on_loop
async def test_a_session_s_connection_knows_the_stream_of_its_client() -> None:
    """Whichever was there first, and when the stream is another; others' do not."""
    async with swimming() as subject:
        subject.pool.streams = ClientStreams(subject.pool.stream_turned)
        subject.pool.streams.open(7, Sink())
        for serial in (7, 8):
            subject.call(session=serial)
        assert [member.stream is None for member in subject.members] == [False, True]
        leave = subject.pool.streams.open(8, Sink())
        assert [member.stream is None for member in subject.members] == [False, False]
        leave()
        assert [member.stream is None for member in subject.members] == [False, True]
        subject.pool.streams.open(9, Sink())
