"""What the host tells a worker, and what a worker tells the host."""

import json
from functools import partial
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.learning import LEGACY
from only1mcp.sessions.session import Session
from only1mcp.tasks import Tasks
from only1mcp.worker.events import Events, HostWatcher
from only1mcp.worker.kept_watches import KeptWatches
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import on_loop
from tests.support.told_link import ToldLink

TOOLS_CHANGED = "notifications/tools/list_changed"


def wired(desk: Desk) -> Events:
    """Return the events of a worker."""
    events = Events(desk.edition)
    events.audience, events.learning = desk.audience, desk.learning
    return events


@on_loop
async def test_what_the_host_says_reaches_those_who_wait_for_it() -> None:
    """Each kind of event in its own way."""
    desk = Desk(catalogue("a", tools="x", resources="r://1"), settled=False, learned=False)
    events = wired(desk)
    events.take({"settled": True})
    assert desk.edition.settled
    offer = catalogue("a", tools="x ask").to_plain()
    events.take({"variant": 8, "catalogue": json.loads(json.dumps(offer))})
    assert list(desk.edition.snapshot(Feature.ELICIT_FORM).tools) == ["a__x", "a__ask"]
    assert list(desk.edition.current.tools) == ["a__x"]
    events.take({"learned": LEGACY})
    assert desk.learning.knows(LEGACY)
    assert desk.topics == []


@on_loop
async def test_changed_offers_are_announced_to_those_who_see_them() -> None:
    """An offer to clients that can be asked only to them; at the start nobody has seen any."""
    legacy = partial(catalogue, eras=frozenset({Era.LEGACY}))
    desk = Desk(legacy("a", tools="x"), settled=False)
    events = wired(desk)
    plain, asked = desk.stream(desk.session()), desk.stream(desk.session(b'{"elicitation":{}}'))
    modern = desk.modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    events.offer(legacy("a", tools="x y"))
    desk.edition.settle()
    assert plain.methods == asked.methods == []
    variant = legacy("a", tools="x ask").to_plain()
    for _ in range(2):
        events.take({"variant": int(Feature.ELICIT_FORM), "catalogue": variant})
    assert (plain.methods, asked.methods) == ([], [TOOLS_CHANGED])
    events.offer(legacy("a", tools="x y z"))
    assert (plain.methods, asked.methods) == ([TOOLS_CHANGED], [TOOLS_CHANGED])
    assert modern.methods[1:] == [TOOLS_CHANGED]


@on_loop
async def test_changes_updates_and_log_messages_reach_the_streams() -> None:
    """With their parameters byte for byte."""
    desk = Desk(catalogue("a", resources="r://1"))
    events = wired(desk)
    name = desk.session()
    told = desk.stream(name)
    params = '{"uri":"r://1","n":1.0}'
    events.take({"changed": ["prompts", "tools"]})
    serial = desk.opened(name).serial
    for serials in ([], [serial], [serial + 1]):
        events.take({"updated": "r://1", "params": params, "sessions": serials})
    events.take({"logged": '{"level":"info","data":"é"}'})
    assert told.methods == [
        "notifications/prompts/list_changed", "notifications/tools/list_changed",
        "notifications/resources/updated", "notifications/message",
    ]  # fmt: skip
    assert params.encode() in told.sent[3][1]
    assert told.messages[3]["params"]["data"] == "é"


@pytest.mark.parametrize(
    "event",
    [{"something": "new"}, {}, {"settled": False}, {"changed": ["tools"]}, {"logged": "{}"},
     {"learned": "x"}],
)  # fmt: skip
@on_loop
async def test_what_concerns_nobody_yet_does_no_harm(event: dict[str, Any]) -> None:
    """The link is there before the rest of the worker; a newer host may say more."""
    desk = Desk(settled=False)
    Events(desk.edition).take(event)
    Events(desk.edition).greet()
    assert not desk.edition.settled


@on_loop
async def test_a_host_that_has_just_come_is_told_what_is_watched_and_wanted() -> None:
    """As the one before was."""
    desk = Desk(catalogue("a", resources="r://1"), learned=False)
    desk.modern("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["r://1"]}})
    desk.learning.knows("8")
    events = wired(desk)
    events.greet()
    assert [entry[:2] for entry in desk.watcher.watched] == [("a", "r://1")] * 2
    assert desk.topics == ["8", "8"]


@on_loop
async def test_the_host_is_told_what_streams_watch() -> None:
    """And what they no longer watch."""
    link = ToldLink()
    watcher = HostWatcher(link, Asks("1.1"), wired(Desk()))
    watcher.watch("a", "r://é", 5, ("key", 3))
    watcher.unwatch("a", "r://é", 5)
    watcher.watch_task("a", "t", 6)
    watcher.unwatch_task("a", "t", 6)
    assert link.notes == [
        {"watch": ["a", "r://é", 5, "key", 3]}, {"unwatch": ["a", "r://é", 5]},
        {"watch_task": ["a", "t", 6]}, {"unwatch_task": ["a", "t", 6]},
    ]  # fmt: skip


@on_loop
async def test_what_a_session_has_subscribed_to_is_what_the_host_has_told() -> None:
    """Before it has told anything that is nothing."""
    desk = Desk()
    link, events = ToldLink(), wired(desk)
    watcher = HostWatcher(link, Asks("1.1"), events)
    assert watcher.subscribed(7) == []
    tasks = Tasks()
    events.kept = KeptWatches(link, desk.audience.serials, tasks)
    events.take({"kept": [7, 0, [["a", "r://1"], ["b", "r://2"]]]})
    events.take({"let_go": [7, [["a", "r://1"]]]})
    assert (watcher.subscribed(7), watcher.subscribed(8)) == ([("b", "r://2")], [])
    await tasks.cancel_all()


@on_loop
async def test_the_host_may_ask_on_a_stream_until_it_ends() -> None:
    """What was asked by then is withdrawn."""
    link, said = ToldLink(), list[bytes]()
    session = Session(7, 0, "2025-11-25", b'{"roots":{}}', b"")
    watcher = HostWatcher(link, Asks("1.1"), wired(Desk()))
    leave = watcher.attend(session, said.append, lambda _: True)
    (sink,) = link.called
    sink.on_request(scan(b'{"jsonrpc":"2.0","id":"a/1","method":"roots/list"}'), lambda _: None)
    leave()
    assert [json.loads(raw)["method"] for raw in said] == ["roots/list", "notifications/cancelled"]
    assert link.called == []
