"""Who hears that something has changed: sessions' streams and modern subscriptions."""

import json
from typing import Any

import pytest

from only1mcp.errors import Overloaded
from only1mcp.protocol import subscriptions
from only1mcp.protocol.subscriptions import KINDS
from only1mcp.proxy import audience
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.task_ids import TaskIds
from only1mcp.sessions.session import Session
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.fake_peers import FakeWatcher
from tests.support.loop import eventually, on_loop
from tests.support.messages import OWN
from tests.support.told import Told

TAG = OWN + "subscriptionId"
EVERYTHING = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
CHANGED = {kind: f"notifications/{kind}/list_changed" for kind in sorted(KINDS)}
UPDATED = "notifications/resources/updated"


def make_desk() -> Desk:
    """Return a desk with resources of two servers."""
    return Desk(
        catalogue("a", resources="r://1 r://2", tools="x"), catalogue("b", resources="s://1")
    )


def listen(desk: Desk, request_id: object = 1, **wanted: Any) -> Told:
    """Open a modern subscription."""
    return desk.modern("subscriptions/listen", {"notifications": wanted}, request_id=request_id)


def update(desk: Desk, uri: str, *serials: int) -> None:
    """Let a resource be updated, which these legacy sessions watch."""
    params = json.dumps({"uri": uri, "_meta": {"n": 1}}).encode()
    desk.audience.updated(uri, params, frozenset(serials))


def followed(desk: Desk, **more: Any) -> tuple[Told, Session, str]:
    """Open the stream of a new legacy session."""
    session = desk.session(**more)
    return desk.stream(session), desk.opened(session), session


@pytest.mark.parametrize("request_id", [1, "1", "é", 0])
@on_loop
async def test_a_subscription_is_acknowledged_first_with_what_is_honoured(
    request_id: object,
) -> None:
    """Under its own id, of the same type; then each notification bears it."""
    desk = make_desk()
    told = listen(desk, request_id, **EVERYTHING, resourceSubscriptions=["r://1"], other=True)
    acknowledged = told.messages[0]
    assert acknowledged == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {
            "_meta": {TAG: request_id},
            "notifications": {**EVERYTHING, "resourceSubscriptions": ["r://1"]},
        },
    }
    desk.audience.changed(KINDS)
    update(desk, "r://1")
    assert told.methods[1:] == [*CHANGED.values(), UPDATED]
    assert {json.dumps(message["params"]["_meta"][TAG]) for message in told.messages} == {
        json.dumps(request_id)
    }
    assert told.messages[-1]["params"] == {"uri": "r://1", "_meta": {"n": 1, TAG: request_id}}


@pytest.mark.parametrize("honoured", [True, False])
@on_loop
async def test_a_subscription_is_acknowledged_when_its_servers_tell_of_all(honoured: bool) -> None:
    """What is told meanwhile comes after that; what a server refuses is not honoured."""
    desk = make_desk()
    desk.watcher.on_watch = lambda *_: None
    told = listen(desk, toolsListChanged=True, resourceSubscriptions=["r://1", "s://1"])
    desk.audience.changed(KINDS)
    (_, _, number), _ = desk.watcher.watched
    desk.audience.watching("a", "r://1", number, True)
    desk.audience.watching("a", "s://1", number, True)  # it is another's
    assert told.messages == []
    desk.audience.watching("b", "s://1", number, honoured)
    assert told.methods == ["notifications/subscriptions/acknowledged", CHANGED["tools"]]
    expected = ["r://1", *(["s://1"] if honoured else [])]
    assert told.messages[0]["params"]["notifications"]["resourceSubscriptions"] == expected


@on_loop
async def test_a_subscription_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a server that is down; once that is heard, the client is told to read again."""
    monkeypatch.setattr(audience, "ACKNOWLEDGE_S", 0.0)
    desk = make_desk()
    desk.watcher.on_watch = lambda *_: None
    told = listen(desk, resourceSubscriptions=["r://1"])
    await eventually(lambda: told.messages, "the acknowledgement")
    assert told.messages[0]["params"]["notifications"] == {"resourceSubscriptions": ["r://1"]}
    for _ in range(2):
        desk.audience.watching("a", "r://1", desk.watcher.watched[0][2], True)
    assert told.methods[1:] == [UPDATED] * 2
    told.cancel()
    desk.audience.watching("a", "r://1", desk.watcher.watched[0][2], True)
    assert len(told.messages) == 3


@pytest.mark.parametrize("kind", sorted(KINDS))
@on_loop
async def test_a_subscription_hears_only_what_it_asked_for(kind: str) -> None:
    """Neither other lists nor other resources nor log messages."""
    desk = make_desk()
    told = listen(desk, **{f"{kind}ListChanged": True})
    desk.audience.changed(KINDS)
    update(desk, "r://1")
    desk.audience.logged(b'{"level":"emergency"}')
    assert told.methods[1:] == [CHANGED[kind]]


@on_loop
async def test_a_subscription_hears_nothing_of_what_its_resource_hides() -> None:
    """Another server may have one of the same name, and tell whoever asks it or not."""
    desk = make_desk()
    told = listen(desk, resourceSubscriptions=["r://1"])
    for server_id in ("b", "a"):
        params = json.dumps({"uri": "r://1", "of": server_id}).encode()
        desk.audience.updated("r://1", params, frozenset(), server_id)
    assert [message["params"].get("of") for message in told.messages[1:]] == ["a"]


@on_loop
async def test_a_watched_resource_is_told_to_the_host_for_as_long_as_the_stream_lasts() -> None:
    """By its owner and for this stream alone; what nobody can have is not honoured."""
    desk = make_desk()
    told = listen(desk, resourceSubscriptions=["s://1", "r://2", 5, None, "r://2"])
    other = listen(desk, 2, resourceSubscriptions=["r://2"])
    honoured = told.messages[0]["params"]["notifications"]
    assert honoured == {"resourceSubscriptions": ["s://1", "r://2"]}
    (first, _, again) = desk.watcher.watched
    assert [entry[:2] for entry in desk.watcher.watched] == [
        ("b", "s://1"), ("a", "r://2"), ("a", "r://2"),
    ]  # fmt: skip
    assert first[2] != again[2]
    told.cancel()
    told.cancel()
    assert desk.watcher.unwatched == [("b", "s://1", first[2]), ("a", "r://2", first[2])]
    update(desk, "r://2")
    assert len(told.messages) == 1
    assert other.methods[1:] == [UPDATED]


@on_loop
async def test_a_resource_that_nobody_has_is_not_honoured() -> None:
    """Without any server that has resources."""
    desk = Desk(catalogue("a", tools="x"))
    told = listen(desk, resourceSubscriptions=["r://1"])
    assert told.messages[0]["params"]["notifications"] == {}
    assert desk.watcher.watched == []


@on_loop
async def test_a_part_of_a_watched_resource_counts_as_the_resource() -> None:
    """As the specification allows (server/resources, Subscriptions)."""
    desk = make_desk()
    told = listen(desk, resourceSubscriptions=["r://1"])
    update(desk, "r://1/part")
    update(desk, "r://2")
    assert [m["params"]["uri"] for m in told.messages[1:]] == ["r://1/part"]


@on_loop
async def test_a_new_host_is_told_what_is_watched() -> None:
    """By the streams that are open now."""
    desk = make_desk()
    listen(desk, resourceSubscriptions=["r://1"])
    listen(desk, 2, resourceSubscriptions=["s://1"]).cancel()
    followed(desk)
    before = list(desk.watcher.watched)
    desk.watcher.watched.clear()
    desk.audience.rewatch()
    assert desk.watcher.watched == before[:1]


@on_loop
async def test_a_subscription_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the number of its resources; nothing of one that is refused is watched."""
    monkeypatch.setattr(subscriptions, "MAX_URIS", 2)
    desk = make_desk()
    assert listen(desk, resourceSubscriptions=["r://1", "r://2"]).answers == []
    watched = len(desk.watcher.watched)
    told = listen(desk, resourceSubscriptions=["r://1", "r://2", "s://1"])
    assert (told.only.status, told.message["error"]["code"]) == (400, -32602)
    assert "hint: open another subscription" in told.message["error"]["message"]
    assert len(desk.watcher.watched) == watched


@on_loop
async def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both kinds together; one that ends makes room."""
    monkeypatch.setattr(audience, "MAX_STREAMS", 2)
    desk = make_desk()
    first = listen(desk)
    followed(desk)
    told = listen(desk, 2)
    assert (told.only.status, told.message["error"]["code"]) == (503, 32004)
    session = desk.session()
    with pytest.raises(Overloaded):
        desk.stream(session)
    first.cancel()
    assert desk.stream(session).is_open


@on_loop
async def test_a_legacy_session_hears_of_every_list_on_its_stream() -> None:
    """Without tags; of resources only those that it watches itself."""
    desk = make_desk()
    told, session, _ = followed(desk)
    desk.audience.changed(KINDS)
    update(desk, "r://1")
    update(desk, "r://2", session.serial + 1)
    update(desk, "r://3", session.serial)
    assert told.methods == [*CHANGED.values(), UPDATED]
    assert "params" not in told.messages[0]
    assert told.messages[-1]["params"] == {"uri": "r://3", "_meta": {"n": 1}}


@on_loop
async def test_a_legacy_session_hears_log_messages_at_its_level() -> None:
    """All of them until it says otherwise; at any time, and each session for itself."""
    desk = make_desk()
    told, session, name = followed(desk)
    other, _, _ = followed(desk)
    desk.audience.logged(b'{"level":"debug","data":1}')
    answered = desk.legacy("logging/setLevel", {"level": "error"}, name)
    assert answered.message["result"] == {}
    assert desk.marks.level(session.serial) == 4
    for level in (b"warning", b"error", b"emergency"):
        desk.audience.logged(b'{"level":"%b","data":2.0}' % level)
    assert [m["params"]["level"] for m in told.messages] == ["debug", "error", "emergency"]
    assert len(other.messages) == 4


@pytest.mark.parametrize("level", [None, "", "ERROR", "bogus", 3, {}])
@on_loop
async def test_an_unknown_log_level_is_refused(level: object) -> None:
    """With those that there are; the old one stays."""
    desk = make_desk()
    name = desk.session()
    desk.legacy("logging/setLevel", {"level": "error"}, name)
    told = desk.legacy("logging/setLevel", {"level": level}, name)
    assert told.message["error"]["code"] == -32602
    assert "one of debug, info" in told.message["error"]["message"]
    assert desk.marks.level(desk.opened(name).serial) == 4


@on_loop
async def test_the_newest_stream_of_a_session_is_its_only_one() -> None:
    """The one before hears nothing any more, and ends; other sessions keep theirs."""
    desk = make_desk()
    old, _, name = followed(desk)
    other, _, _ = followed(desk)
    new = desk.stream(name)
    desk.audience.changed(frozenset({"tools"}))
    assert (old.messages, old.has_ended) == ([], True)
    assert new.methods == other.methods == [CHANGED["tools"]]
    old.cancel()
    desk.audience.changed(frozenset({"tools"}))
    assert len(new.methods) == 2


@on_loop
async def test_the_newest_stream_of_a_session_may_be_in_another_worker() -> None:
    """Its number is in shared memory; whoever holds the older one finds out with the next event."""
    desk = make_desk()
    old, session, _ = followed(desk)
    there = Audience(
        1, desk.edition, desk.marks, lambda: desk.now, FakeWatcher(), TaskIds(bytes(32))
    )
    new = Told()
    there.follow(session, new)
    for one in (desk.audience, there):
        one.changed(frozenset({"tools"}))
    assert (old.messages, old.has_ended) == ([], True)
    assert new.methods == [CHANGED["tools"]]


@on_loop
async def test_the_stream_of_a_session_that_was_ended_ends_with_the_next_event() -> None:
    """In whatever worker: none is the session's any more."""
    desk = make_desk()
    told, session, _ = followed(desk)
    desk.marks.set_stream(session.serial, session.expires, 0, desk.now)
    desk.audience.changed(KINDS)
    assert (told.messages, told.has_ended) == ([], True)


@on_loop
async def test_a_stream_that_is_left_hears_nothing_more() -> None:
    """It does not resume on its own; leaving twice does nothing."""
    desk = make_desk()
    told, session, _ = followed(desk, version="2025-06-18")
    told.cancel()
    told.cancel()
    desk.audience.changed(KINDS)
    update(desk, "r://1", session.serial)
    assert told.messages == []


@on_loop
async def test_whether_a_session_listens_is_known_to_all_processes() -> None:
    """Its newest stream counts; the end of an older one changes nothing."""
    desk = make_desk()
    session = desk.session()
    opened = desk.opened(session)
    old = desk.audience.follow(opened, Told())
    new = desk.audience.follow(opened, Told())
    number = desk.marks.stream(opened.serial)
    old()
    assert desk.marks.stream(opened.serial) == number != 0
    new()
    assert desk.marks.stream(opened.serial) == 0


@on_loop
async def test_a_worker_that_stops_ends_its_streams_in_order() -> None:
    """A subscription gets its result, a session's stream just ends; nothing is watched any more."""
    desk = make_desk()
    modern = listen(desk, "s-1", resourceSubscriptions=["r://1"])
    told, _, _ = followed(desk)
    desk.audience.close()
    await eventually(lambda: modern.answers, "the result")
    assert modern.message["id"] == "s-1"
    assert modern.message["result"] == {"resultType": "complete", "_meta": {TAG: "s-1"}}
    assert (told.messages, told.has_ended) == ([], True)
    assert len(desk.watcher.unwatched) == 1
    desk.audience.changed(KINDS)
    assert len(modern.messages) == 1


@on_loop
async def test_a_stream_that_is_opened_while_the_worker_stops_ends_too() -> None:
    """It would hold up the end of the worker."""
    desk = make_desk()
    desk.audience.close()
    modern = listen(desk, toolsListChanged=True, resourceSubscriptions=["r://1"])
    told, _, _ = followed(desk)
    assert told.is_open
    assert told.has_ended
    await eventually(lambda: modern.answers, "the result")
    assert modern.methods == ["notifications/subscriptions/acknowledged"]
    assert len(desk.watcher.watched) == len(desk.watcher.unwatched) == 1


@on_loop
async def test_a_subscription_that_is_left_has_ended_well() -> None:
    """That is how clients end them; it is recorded once."""
    desk = make_desk()
    told = listen(desk)
    assert desk.outcomes == []
    told.cancel()
    told.cancel()
    assert [(one.method, one.status) for one in desk.outcomes] == [("subscriptions/listen", "ok")]


@on_loop
async def test_servers_may_ask_on_the_stream_of_a_client_that_can_be_asked() -> None:
    """As long as it is open; a host that has just come is told of it, too."""
    desk = make_desk()
    followed(desk)
    assert desk.watcher.attended == []
    told, session, _ = followed(desk, capabilities=b'{"roots":{}}')
    ((serial, send, allows),) = desk.watcher.attended
    send(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
    assert (serial, allows("a"), told.messages[-1]["id"]) == (session.serial, True, 1)
    desk.audience.rewatch()
    assert (len(desk.watcher.attended), desk.watcher.left) == (2, [serial])
    desk.audience.close()
    assert desk.watcher.left == [serial] * 2
