"""The tasks of a legacy session at all servers, page by page."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendLost, Only1MCPError
from only1mcp.proxy.task_ids import TaskRef
from tests.support.desk import Desk
from tests.support.fake_backend import FakeBackend, refusal
from tests.support.loop import eventually, on_loop
from tests.support.task_offers import offers_core
from tests.support.told import Told

Script = Callable[[Outgoing], "bytes | Only1MCPError | None"]


def lists(*names: str, page: int = 10) -> Script:
    """List these tasks, so many on a page; a cursor is the number of the first one."""

    def script(outgoing: Outgoing) -> bytes:
        cursor = json.loads(outgoing.params or b"{}").get("cursor")
        start = int(cursor or 0)
        tasks = [{"taskId": name, "status": "working"} for name in names[start : start + page]]
        following = {"nextCursor": str(start + page)} if start + page < len(names) else {}
        return json.dumps({"tasks": tasks, **following}).encode()

    return script


def desk_with(page_size: int = 1000, **scripts: Script) -> Desk:
    """Return a desk whose servers list tasks as their scripts say."""
    desk = Desk(*(offers_core(key, "list") for key in scripts), page_size=page_size)
    desk.hosted.update({key: FakeBackend(script) for key, script in scripts.items()})
    return desk


async def page(desk: Desk, session: str, cursor: str | None = None) -> dict[str, Any]:
    """Return one page, with the servers' own ids."""
    params = {} if cursor is None else {"cursor": cursor}
    told: Told = desk.legacy("tasks/list", params, session)
    await eventually(lambda: told.answers, "the page")
    result: dict[str, Any] = told.message["result"]
    refs = [desk.task_ids.open(task["taskId"]) for task in result["tasks"]]
    serial = desk.opened(session).serial
    assert refs == [TaskRef(ref.server_id, ref.task_id, serial) for ref in refs]
    return {**result, "tasks": [f"{ref.server_id} {ref.task_id}" for ref in refs]}


@on_loop
async def test_the_tasks_of_all_servers_are_listed_in_their_order() -> None:
    """All pages of each; a server that has none adds none."""
    desk = desk_with(a=lists("1", "2", "3", page=2), b=lists(), c=lists("1"))
    session = desk.session()
    assert await page(desk, session) == {"tasks": ["a 1", "a 2", "a 3", "c 1"]}
    asked = [received.outgoing for received in desk.hosted["a"].calls]
    serial = desk.opened(session).serial
    assert [(one.session, one.own) for one in asked] == [(serial, True)] * 2


@on_loop
async def test_a_full_page_ends_with_a_cursor_that_goes_on_there() -> None:
    """In the middle of a server's tasks or between two servers, in whatever worker."""
    desk = desk_with(2, a=lists(*"12345", page=2), b=lists("1", "2"), c=lists("1"))
    session, cursor, seen = desk.session(), None, []
    while True:
        result = await page(desk, session, cursor)
        seen.append(result["tasks"])
        if "nextCursor" not in result:
            break
        cursor = result["nextCursor"]
    assert seen == [["a 1", "a 2"], ["a 3", "a 4"], ["a 5", "b 1", "b 2"], ["c 1"]]


@pytest.mark.parametrize("cursor", ["", "x", 1])
@on_loop
async def test_a_cursor_that_is_not_ours_is_refused(cursor: object) -> None:
    """Nobody is asked."""
    desk = desk_with(a=lists("1"))
    told = desk.legacy("tasks/list", {"cursor": cursor})
    assert told.message["error"]["code"] == -32602
    assert not desk.hosted["a"].calls


@on_loop
async def test_a_cursor_of_a_server_that_is_gone_is_refused() -> None:
    """What came after it cannot be told."""
    desk = desk_with(a=lists("1"))
    cursor = desk.task_ids.seal_cursor("gone", None)
    assert desk.legacy("tasks/list", {"cursor": cursor}).message["error"]["code"] == -32602


@on_loop
async def test_a_server_that_fails_is_left_out() -> None:
    """The others' tasks are worth listing; what happened is counted."""
    desk = desk_with(a=lambda _: BackendLost("gone"), b=lambda _: refusal(-32603), c=lists("1"))
    assert await page(desk, desk.session()) == {"tasks": ["c 1"]}
    assert desk.attempts == [("a", "backend_lost"), ("b", "error"), ("c", "ok")]


@on_loop
async def test_only_servers_that_list_tasks_are_asked() -> None:
    """Others would refuse; where none does, there is no such method."""
    desk = Desk(offers_core("a"), offers_core("b", "list"))
    desk.hosted["b"] = FakeBackend(lists("1"))
    assert await page(desk, desk.session()) == {"tasks": ["b 1"]}
    assert not desk.hosted["a"].calls
    told = Desk(offers_core("a")).legacy("tasks/list")
    assert told.message["error"]["code"] == -32601


@on_loop
async def test_a_client_that_leaves_ends_the_search() -> None:
    """The server that was being asked is told."""
    desk = desk_with(a=lambda _: None, b=lists("1"))
    told = desk.legacy("tasks/list")
    told.cancel()
    assert desk.hosted["a"].calls[0].cancelled
    assert not desk.hosted["b"].calls
