"""Who hears of tasks: modern subscriptions that name them, and legacy sessions that began them."""

from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.task_members import REQUIRED_CAPABILITIES, STATUS
from only1mcp.proxy.task_ids import TaskRef
from only1mcp.registry.catalogue import Catalogue
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import on_loop
from tests.support.messages import OWN, notification
from tests.support.task_offers import DECLARED, offers_core, offers_extension
from tests.support.told import Told

TAG = {"_meta": {OWN + "subscriptionId": "s1"}}


def listen(desk: Desk, *task_ids: str, **more: Any) -> Told:
    """Subscribe to tasks."""
    params = {"notifications": {"taskIds": list(task_ids)}, **more}
    return desk.modern("subscriptions/listen", params, request_id="s1")


@on_loop
async def test_a_subscription_hears_of_its_tasks_under_their_ids() -> None:
    """Of those alone; the host is asked to listen, until the client leaves."""
    desk = Desk(offers_extension("a"), offers_extension("b"))
    first, second = (desk.task_ids.seal(TaskRef("a", one)) for one in ("t1", "t2"))
    told = listen(desk, first, **DECLARED)
    other = listen(desk, second, **DECLARED)
    assert told.messages[0]["params"] == {"notifications": {"taskIds": [first]}, **TAG}
    (watched, _) = desk.watcher.watched_tasks
    assert watched[:2] == ("a", "t1")
    said = b'{"taskId":"t1","status":"completed","result":{},"_meta":{"x":1}}'
    desk.audience.task_changed("a", "t1", said)
    desk.audience.task_changed("b", "t1", said)
    (heard,) = told.messages[1:]
    assert heard["method"] == "notifications/tasks"
    assert heard["params"] == {
        "taskId": first, "status": "completed", "result": {},
        "_meta": {"x": 1, **TAG["_meta"]},
    }  # fmt: skip
    assert len(other.messages) == 1
    told.cancel()
    assert desk.watcher.unwatched_tasks == [watched]


@on_loop
async def test_a_new_host_is_told_which_tasks_are_watched() -> None:
    """The one before it took its memory along."""
    desk = Desk(offers_extension("a"))
    listen(desk, desk.task_ids.seal(TaskRef("a", "t1")), **DECLARED)
    desk.audience.rewatch()
    first, second = desk.watcher.watched_tasks
    assert first == second


@on_loop
async def test_tasks_that_we_cannot_tell_of_are_not_among_the_honoured() -> None:
    """Unknown ones, those of a session, of a server without, and on one of several instances."""
    desk = Desk(offers_extension("a"), offers_core("core"))
    good = desk.task_ids.seal(TaskRef("a", "t1"))
    refs = [TaskRef("gone", "t"), TaskRef("core", "t"), TaskRef("a", "t", 7),
            TaskRef("a", "t", 0, "http://127.0.0.1:1/mcp")]  # fmt: skip
    told = listen(desk, "t1", *map(desk.task_ids.seal, refs), good, **DECLARED)
    assert told.messages[0]["params"]["notifications"] == {"taskIds": [good]}
    assert len(desk.watcher.watched_tasks) == 1


@on_loop
async def test_who_does_not_declare_the_extension_may_not_ask_for_tasks() -> None:
    """Where there is any; else the wish is not understood, and nothing of it is honoured."""
    told = listen(Desk(offers_extension("a")), "t1")
    assert told.only.status == 400
    assert told.message["error"]["code"] == -32021
    assert told.message["error"]["data"] == {"requiredCapabilities": REQUIRED_CAPABILITIES}
    told = listen(Desk(catalogue("a", tools="x")), "t1")
    assert told.messages[0]["params"]["notifications"] == {}


@on_loop
async def test_a_subscription_is_bounded_in_tasks_too() -> None:
    """Its list costs memory here and in the host."""
    told = listen(Desk(offers_extension("a")), *["t"] * 1001, **DECLARED)
    assert told.message["error"]["code"] == -32602


@pytest.mark.parametrize("offer", [offers_core("a"), Catalogue("a")])
@on_loop
async def test_a_session_s_stream_hears_what_its_server_says_of_its_tasks(
    offer: Catalogue,
) -> None:
    """Other sessions' streams do not."""
    desk = Desk(offer)
    session, other = desk.session(), desk.session()
    stream, silent = desk.stream(session), desk.stream(other)
    serial = desk.opened(session).serial
    desk.audience.said("a", serial, scan(notification(STATUS, {"taskId": "t1", "status": "x"})))
    (heard,) = stream.messages
    ours = desk.task_ids.seal(TaskRef("a", "t1", serial))
    assert (heard["method"], heard["params"]) == (STATUS, {"taskId": ours, "status": "x"})
    assert silent.messages == []
