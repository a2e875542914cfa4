"""What sessions watch on connections of their own, and what is made of it when those end."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import Cancel
from only1mcp.errors import BackendUnreachable
from only1mcp.host import own_watches, pool
from only1mcp.host.own_watches import OwnWatches
from only1mcp.protocol.client_features import Feature
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.sink import Sink
from tests.support.swimming import FakeMember, Swimming, swimming

FORM = Feature.ELICIT_FORM
SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"
UPDATED, CHANGED = "notifications/resources/updated", "notifications/tools/list_changed"
REFUSED = scan(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}')


def ask(subject: Swimming, method: str, uri: str, session: int = 7) -> tuple[Sink, Cancel]:
    """Ask for a resource to be watched, or no longer."""
    params = json.dumps({"uri": uri}).encode()
    return subject.call(session=session, method=method, params=params)


def watched(subject: Swimming, *uris: str, session: int = 7) -> FakeMember:
    """Have resources watched; return the session's connection."""
    used = []
    for uri in uris:
        sink, _ = ask(subject, SUBSCRIBE, uri, session)
        used += [one for one in subject.members if one.calls]
        used[-1].answer()
        assert len(sink.heard) == 1
    assert len(set(used)) == 1
    return used[0]


def tell(member: FakeMember, uri: str) -> None:
    """Let the server say that a resource was updated."""
    member.tell(scan(notification(UPDATED, {"uri": uri})))


def told(subject: Swimming) -> list[tuple[int, Any]]:
    """Return whom was told of which resource."""
    return [
        (serial, json.loads(message.body)["params"]["uri"])
        for _, serial, message in subject.said if message.method == UPDATED
    ]  # fmt: skip


def asked(member: FakeMember) -> list[tuple[str, Any]]:
    """Return what a connection is being asked."""
    return [(call.method, json.loads(call.params)) for call, _ in member.calls]


@on_loop
async def test_an_update_is_told_to_the_session_that_watches_and_to_no_other() -> None:
    """Of the resource, or of one that is a part of it; a server may tell of more."""
    async with swimming() as subject:
        one, other = watched(subject, "a://1"), watched(subject, "a://2", session=8)
        for member in (one, other):
            for uri in ("a://1/x", "a://2", "a://3"):
                tell(member, uri)
        assert told(subject) == [(7, "a://1/x"), (8, "a://2")]


@on_loop
async def test_what_is_watched_no_longer_or_was_refused_is_told_to_nobody() -> None:
    """Whatever the server goes on to say."""
    async with swimming() as subject:
        member = watched(subject, "a://1", "a://2")
        ask(subject, UNSUBSCRIBE, "a://1")
        assert asked(member) == [(UNSUBSCRIBE, {"uri": "a://1"})]
        member.answer()
        refused, _ = ask(subject, SUBSCRIBE, "a://3")
        member.calls.pop()[1].on_reply(REFUSED)
        failed, _ = ask(subject, SUBSCRIBE, "a://4")
        member.calls.pop()[1].on_failure(BackendUnreachable("gone"))
        for number in (1, 2, 3, 4):
            tell(member, f"a://{number}")
        assert (len(refused.heard), len(failed.heard)) == (1, 1)
        assert told(subject) == [(7, "a://2")]


@on_loop
async def test_to_watch_no_longer_makes_no_connection() -> None:
    """There is nobody to tell."""
    async with swimming() as subject:
        sink, _ = ask(subject, UNSUBSCRIBE, "a://1")
        assert (len(sink.heard), subject.members) == (1, [])


@on_loop
async def test_a_connection_that_ends_is_made_again_for_what_is_watched_there() -> None:
    """Each resource is asked for again, and what may have been missed counts as updated."""
    async with swimming() as subject:
        first = watched(subject, "a://1", "a://2", "a://3")
        first.ended = True
        first.turned()
        await eventually(lambda: len(subject.members) == 2, "another connection")
        second = subject.members[1]
        await eventually(lambda: second.calls, "the first request")
        assert asked(second) == [(SUBSCRIBE, {"uri": "a://1"})]
        second.answer()
        await eventually(lambda: second.calls, "the second request")
        second.calls.pop()[1].on_reply(REFUSED)
        await eventually(lambda: second.calls, "the third request")
        second.answer()
        await eventually(lambda: len(told(subject)) == 2, "what was missed")
        tell(second, "a://2")
        assert told(subject) == [(7, "a://1"), (7, "a://3")]


@on_loop
async def test_what_was_let_go_while_a_connection_is_told_is_not_watched_there() -> None:
    """Of what it was told already, the server hears that nobody wants it any more."""
    async with swimming() as subject:
        member = watched(subject, "a://1", "a://2", "a://3")
        member.turned()
        await eventually(lambda: member.calls, "the first request")
        for uri in ("a://1", "a://2", "a://4"):
            subject.pool.forget(7, uri)
        await eventually(lambda: len(member.calls) == 3, "that it is not wanted")
        assert asked(member) == [
            (SUBSCRIBE, {"uri": "a://1"}), (UNSUBSCRIBE, {"uri": "a://1"}),
            (UNSUBSCRIBE, {"uri": "a://2"}),
        ]  # fmt: skip
        for _ in range(3):
            member.answer()
        await eventually(lambda: member.calls, "the last request")
        assert asked(member) == [(SUBSCRIBE, {"uri": "a://3"})]
        member.answer()
        await eventually(lambda: told(subject), "what was missed")
        assert told(subject) == [(7, "a://3")]


@on_loop
async def test_a_session_that_the_server_forgot_is_asked_on_the_same_connection() -> None:
    """An HTTP server that was started again knows nothing of what it was asked."""
    async with swimming() as subject:
        member = watched(subject, "a://1")
        member.turned()
        await eventually(lambda: member.calls, "the request")
        member.answer()
        await eventually(lambda: told(subject) == [(7, "a://1")], "the update")
        assert len(subject.members) == 1


@on_loop
async def test_a_connection_is_not_made_again_for_a_session_that_was_ended() -> None:
    """Nor for one that watches nothing."""
    async with swimming() as subject:
        ended, idle = watched(subject, "a://1"), watched(subject, "a://2", session=8)
        stays = watched(subject, "a://3", session=9)
        ask(subject, UNSUBSCRIBE, "a://2", session=8)
        idle.answer()
        ended.ended = True
        ended.turned()
        subject.pool.end_session(7)
        for member in (idle, stays):
            member.ended = True
            member.turned()
        await eventually(lambda: len(subject.members) == 4, "the one that is made again")
        assert asked(subject.members[3]) in ([], [(SUBSCRIBE, {"uri": "a://3"})])
        assert subject.pool.watches.serials == [9]


@on_loop
async def test_a_call_on_a_new_connection_has_it_watch_again_too() -> None:
    """When the one before had to give way."""
    async with swimming(limit=1) as subject:
        watched(subject, "a://1")
        subject.call(session=8)
        subject.members[1].answer()
        subject.call(session=7)
        await eventually(lambda: len(subject.members[2].calls) == 2, "both requests")
        methods = [method for method, _ in asked(subject.members[2])]
        assert methods == ["tools/call", SUBSCRIBE]


@on_loop
async def test_another_pool_goes_on_with_what_is_watched() -> None:
    """As after a reload that has changed the server."""
    async with swimming() as old, swimming() as new:
        watched(old, "a://1")
        new.pool.watches.inherit(old.pool.watches)
        new.pool.resume()
        (member,) = new.members
        await eventually(lambda: member.calls, "the request")
        member.answer()
        await eventually(lambda: told(new) == [(7, "a://1")], "the update")


@on_loop
async def test_a_connection_stays_as_long_as_its_session_watches_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However quiet it is."""
    monkeypatch.setattr(pool, "_SWEEP_S", 0.001)
    monkeypatch.setattr(pool, "SESSION_IDLE_S", 0.0)
    monkeypatch.setattr(pool, "TASK_IDLE_S", 0.0)
    async with swimming() as subject:
        watches, lets_go = watched(subject, "a://1"), watched(subject, "a://2", session=8)
        subject.call(session=9)
        subject.members[2].answer()
        await eventually(lambda: subject.members[2].ended, "a sweep")
        assert not lets_go.ended
        subject.pool.let_go(8)
        await eventually(lambda: lets_go.ended, "the end of the one that watches nothing")
        assert not watches.ended


@on_loop
async def test_what_another_host_knew_is_watched_again() -> None:
    """On a connection that is made for it, or on the one that a call has made before."""
    async with swimming() as subject:
        subject.call(session=8)
        for serial in (7, 8):
            subject.pool.watches.add(serial, FORM, f"a://{serial}")
            subject.pool.watch_again(serial)
        await eventually(lambda: sum(len(one.calls) for one in subject.members) == 3, "requests")
        methods = [[method for method, _ in asked(one)] for one in subject.members]
        assert methods == [["tools/call", SUBSCRIBE], [SUBSCRIBE]]


@on_loop
async def test_changed_lists_are_told_of_with_the_session_that_they_are_of() -> None:
    """Whoever looks again knows where."""
    async with swimming() as subject:
        subject.call(session=7)
        subject.members[0].tell(scan(notification(CHANGED)))
        assert subject.changed == [("srv", 7, CHANGED)]
        assert subject.said == []


def test_the_oldest_sessions_are_forgotten_before_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients may leave without a word, for ever."""
    monkeypatch.setattr(own_watches, "MAX_SESSIONS", 2)
    subject = OwnWatches()
    for serial in (1, 2, 3):
        assert subject.add(serial, FORM, "a://1")
    assert not subject.add(3, FORM, "a://1")
    assert subject.serials == [2, 3]
    assert (subject.count(1), subject.count(3)) == (0, 1)
    monkeypatch.setattr(own_watches, "MAX_WATCHED", 3)
    for uri in ("a://2", "a://2", "a://3", "a://4"):
        subject.add(3, FORM, uri)
    subject.remove(3, "a://4")
    assert (subject.serials, subject.all) == ([3], {"a://1", "a://2", "a://3"})
    subject.drop(3)
    assert (subject.add(4, FORM, "a://1"), subject.serials) == (True, [4])
