"""Whose task a request is about, and who may ask for one."""

import json
from typing import Any

import pytest

from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.task_members import EXTENSION, REQUIRED_CAPABILITIES
from only1mcp.protocol.versions import LEGACY_VERSIONS, Era
from only1mcp.proxy.task_ids import TaskRef
from only1mcp.registry.catalogue import Catalogue
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import on_loop
from tests.support.messages import modern, modern_headers
from tests.support.task_offers import DECLARED, declared, offers_core, offers_extension


@on_loop
async def test_a_modern_task_is_asked_for_at_its_server_by_that_server_s_id() -> None:
    """In the body and in the header that repeats it."""
    desk = Desk(offers_extension("a"), offers_extension("b"))
    ours = desk.task_ids.seal(TaskRef("b", "t1"))
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        desk.modern(method, {"taskId": ours, "x": 1, **DECLARED})
        (received,) = desk.backends["b"].calls
        assert received.outgoing.target == "t1"
        assert json.loads(received.outgoing.params)["taskId"] == "t1"
        assert json.loads(received.outgoing.params)["x"] == 1
        desk.backends["b"].calls.clear()
    assert not desk.backends["a"].calls


@on_loop
async def test_a_header_that_names_another_task_is_a_mismatch() -> None:
    """And so is one that is missing."""
    desk = Desk(offers_extension("a"))
    ours = desk.task_ids.seal(TaskRef("a", "t1"))
    for name in (None, "t1", ours + "x"):
        body = modern("tasks/get", {"taskId": ours, **DECLARED})
        told = desk.send(body, modern_headers("tasks/get", name))
        assert (told.only.status, told.message["error"]["code"]) == (400, -32020)


@on_loop
async def test_a_client_that_does_not_declare_the_extension_is_told_what_it_lacks() -> None:
    """Before anybody looks at the id."""
    desk = Desk(offers_extension("a"))
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        told = desk.modern(method, {"taskId": "anything"})
        assert told.only.status == 400
        error = told.message["error"]
        assert (error["code"], error["data"]) == (
            -32021, {"requiredCapabilities": REQUIRED_CAPABILITIES},
        )  # fmt: skip


@on_loop
async def test_where_nobody_has_tasks_their_methods_do_not_exist() -> None:
    """For modern clients that declare the extension or not, and for legacy ones."""
    desk = Desk(catalogue("a", tools="x"))
    for params in ({"taskId": "t"}, {"taskId": "t", **DECLARED}):
        told = desk.modern("tasks/get", params)
        assert (told.only.status, told.message["error"]["code"]) == (404, -32601)
    for method in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list"):
        told = desk.legacy(method, {"taskId": "t"})
        assert told.message["error"]["code"] == -32601


@pytest.mark.parametrize("task_id", [None, 1, "", "t1", "o1t.AAAA"])
@on_loop
async def test_a_task_that_nobody_can_know_is_an_invalid_parameter(task_id: object) -> None:
    """Its id is missing, or not ours."""
    desk = Desk(offers_extension("a"))
    params = {} if task_id is None else {"taskId": task_id}
    name = task_id if isinstance(task_id, str) else "x"
    body = modern("tasks/get", {**params, **DECLARED})
    told = desk.send(body, modern_headers("tasks/get", name))
    assert told.message["error"]["code"] == -32602
    assert not desk.backends["a"].calls


@pytest.mark.parametrize(
    "ref", [TaskRef("gone", "t1"), TaskRef("old", "t1"), TaskRef("a", "t1", 7)]
)
@on_loop
async def test_a_task_of_another_server_era_or_session_is_unknown(ref: TaskRef) -> None:
    """The one that held it may have gone, or speaks only the other design now."""
    desk = Desk(offers_extension("a"), offers_core("old"))
    told = desk.modern("tasks/get", {"taskId": desk.task_ids.seal(ref), **DECLARED})
    assert told.message["error"]["code"] == -32602


@on_loop
async def test_an_id_of_ours_is_good_while_its_server_is_away() -> None:
    """Whether anybody offers tasks at the moment is not what the client asks."""
    desk = Desk(Catalogue("a"))
    ours = desk.task_ids.seal(TaskRef("a", "t1"))
    desk.modern("tasks/get", {"taskId": ours, **DECLARED})
    assert desk.backends["a"].calls[0].outgoing.target == "t1"


@on_loop
async def test_a_task_goes_to_the_instance_that_holds_it() -> None:
    """Of a server with several."""
    desk = Desk(offers_extension("a"))
    ours = desk.task_ids.seal(TaskRef("a", "t1", 0, "http://127.0.0.1:1/mcp"))
    desk.modern("tasks/get", {"taskId": ours, **DECLARED})
    assert desk.backends["a"].calls[0].outgoing.place == "http://127.0.0.1:1/mcp"


@on_loop
async def test_a_legacy_task_is_asked_for_on_the_session_s_own_connection() -> None:
    """Whatever worker the request reaches, and whether the client can be asked or not."""
    desk = Desk(offers_core("a"))
    session = desk.session()
    serial = desk.opened(session).serial
    ours = desk.task_ids.seal(TaskRef("a", "t1", serial))
    for method in ("tasks/get", "tasks/result", "tasks/cancel"):
        desk.legacy(method, {"taskId": ours}, session)
    outgoings = [received.outgoing for received in desk.hosted["a"].calls]
    assert [(one.own, one.session, one.features) for one in outgoings] == [(True, serial, 0)] * 3
    assert [json.loads(one.params) for one in outgoings] == [{"taskId": "t1"}] * 3
    assert not desk.backends["a"].calls


@on_loop
async def test_another_session_does_not_know_the_task() -> None:
    """Its id is worth nothing there, nor to a modern client."""
    desk = Desk(offers_core("a"), offers_extension("b"))
    ours = desk.task_ids.seal(TaskRef("a", "t1", desk.opened(desk.session()).serial))
    told = [
        desk.legacy("tasks/get", {"taskId": ours}),
        desk.modern("tasks/get", {"taskId": ours, **DECLARED}),
    ]
    assert [one.message["error"]["code"] for one in told] == [-32602, -32602]


@pytest.mark.parametrize("version", LEGACY_VERSIONS[:-1])
@on_loop
async def test_clients_older_than_tasks_never_see_any(version: str) -> None:
    """Not in the greeting, not in lists, not in calls, and there is no method for them."""
    desk = Desk(offers_core("a"))
    hello = desk.legacy("initialize", {"protocolVersion": version})
    assert "tasks" not in hello.message["result"]["capabilities"]
    session = desk.session(version=version)
    (tool,) = desk.legacy("tools/list", session=session).message["result"]["tools"]
    assert "execution" not in tool
    for method in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list"):
        told = desk.legacy(method, {"taskId": "t"}, session)
        assert told.message["error"]["code"] == -32601
    desk.legacy("tools/call", {"name": "a__x", "task": {"ttl": 1}}, session)
    outgoing = desk.backends["a"].calls[0].outgoing
    assert json.loads(outgoing.params) == {"name": "x"}
    assert not outgoing.own


@on_loop
async def test_a_legacy_client_is_offered_what_legacy_servers_can_do() -> None:
    """All of them together; a tool says itself whether it may run as a task."""
    desk = Desk(offers_core("a"), offers_core("b", "list"), catalogue("c", tools="x"))
    hello = desk.legacy("initialize", {"protocolVersion": "2025-11-25"}).message["result"]
    assert hello["capabilities"]["tasks"] == {"list": {}, "requests": {"tools": {"call": {}}}}
    assert "extensions" not in hello["capabilities"]
    tools = desk.legacy("tools/list").message["result"]["tools"]
    assert [tool.get("execution") for tool in tools] == [
        {"taskSupport": "optional"}, {"taskSupport": "optional"}, None,
    ]  # fmt: skip


@on_loop
async def test_a_modern_client_is_offered_the_extension_of_modern_servers() -> None:
    """And hears nothing of tasks of the core, which it could not use."""
    desk = Desk(offers_core("a"), offers_extension("b"))
    capabilities = desk.modern("server/discover").message["result"]["capabilities"]
    assert capabilities["extensions"] == {EXTENSION: {}}
    assert "tasks" not in capabilities
    tools = desk.modern("tools/list").message["result"]["tools"]
    assert [tool.get("execution") for tool in tools] == [None, None]


@on_loop
async def test_without_a_modern_server_that_has_it_the_extension_is_not_offered() -> None:
    """Nor with one that claims it in a revision that does not know extensions."""
    claims = Catalogue("a", eras=frozenset({Era.LEGACY}), capabilities=declared({}))
    for one in (catalogue("a", tools="x"), claims, Catalogue("a")):
        capabilities = Desk(one).modern("server/discover").message["result"]["capabilities"]
        assert "extensions" not in capabilities


@on_loop
async def test_a_call_that_asks_for_a_task_gets_one_where_the_tool_can() -> None:
    """On the session's own connection, with what the client wants of it."""
    desk = Desk(offers_core("a"))
    params = {"name": "a__x", "task": {"ttl": 60_000}}
    desk.legacy("tools/call", params)
    outgoing = desk.hosted["a"].calls[0].outgoing
    assert json.loads(outgoing.params) == {"name": "x", "task": {"ttl": 60_000}}
    assert outgoing.own


@pytest.mark.parametrize("name", ["a__plain", "modern__x", "dual__x"])
@on_loop
async def test_a_task_that_cannot_be_had_is_refused_where_others_can(name: str) -> None:
    """The tool does not support it, or its server speaks another design."""
    dual = catalogue("dual", tools="x", eras=frozenset(Era))
    desk = Desk(offers_core("a", plain="plain"), offers_extension("modern"), dual)
    told = desk.legacy("tools/call", {"name": name, "task": {}})
    error = told.message["error"]
    assert (told.only.status, error["code"]) == (200, -32601)
    assert "params.task" in error["message"]


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_where_no_tasks_were_announced_a_wish_for_one_is_ignored(era: Era) -> None:
    """2025-11-25 demands so; servers do not get to see it."""
    desk = Desk(catalogue("a", tools="x", eras=frozenset({era})))
    desk.legacy("tools/call", {"name": "a__x", "arguments": {"task": {}}, "task": {"ttl": 1}})
    params = json.loads(desk.backends["a"].calls[0].outgoing.params)
    assert "task" not in params
    assert params["arguments"] == {"task": {}}


@on_loop
async def test_a_modern_client_s_old_wish_for_a_task_goes_no_further_than_its_era() -> None:
    """A modern server tolerates it as it came; a legacy one would misunderstand it."""
    desk = Desk(offers_core("a"), offers_extension("b"))
    seen: dict[str, Any] = {}
    for server_id in "ab":
        desk.modern("tools/call", {"name": f"{server_id}__x", "task": {"ttl": 1}})
        seen[server_id] = json.loads(desk.backends[server_id].calls[0].outgoing.params)
    assert "task" not in seen["a"]
    assert seen["b"]["task"] == {"ttl": 1}


@on_loop
async def test_a_modern_server_hears_nothing_of_a_legacy_client_s_tasks() -> None:
    """Neither design may cross over."""
    desk = Desk(offers_extension("b"))
    session = desk.session(json.dumps(declared({"tasks": {"list": {}}, "roots": {}})).encode())
    meta = {"io.modelcontextprotocol/related-task": {"taskId": "t"}, "x": 1}
    desk.send(
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b__x","_meta":%b}}'
        % json.dumps(meta).encode(),
        McpHeaders(session=session),
    )
    sent = json.loads(desk.backends["b"].calls[0].outgoing.params)["_meta"]
    assert sent["io.modelcontextprotocol/clientCapabilities"] == {"extensions": {}, "roots": {}}
    assert sent["x"] == 1
    assert "io.modelcontextprotocol/related-task" not in sent
