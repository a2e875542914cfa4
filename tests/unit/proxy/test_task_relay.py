"""What calls and answers say of tasks: servers read their own ids, clients ours."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.task_members import RELATED, STATUS
from only1mcp.protocol.versions import Era
from only1mcp.proxy.task_ids import TaskRef
from only1mcp.proxy.task_relay import session_notice
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.task_offers import DECLARED, offers_core, offers_extension

CREATED = b'{"resultType":"task","taskId":"t1","status":"working","ttlMs":null}'
ELICITING = b'{"elicitation":{}}'


@on_loop
async def test_a_modern_task_reaches_the_client_under_an_id_of_ours() -> None:
    """The same from its beginning on; nothing else of it changes."""
    desk = Desk(offers_extension("a"))
    ours = desk.task_ids.seal(TaskRef("a", "t1"))
    told = desk.modern("tools/call", {"name": "a__x", **DECLARED})
    desk.backends["a"].answer(CREATED)
    assert told.message["result"] == {**json.loads(CREATED), "taskId": ours}
    told = desk.modern("tasks/get", {"taskId": ours, **DECLARED})
    desk.backends["a"].answer(
        b'{"resultType":"complete","taskId":"t1","status":"completed","result":{"taskId":"t1"}}'
    )
    assert told.message["result"] == {
        "resultType": "complete", "taskId": ours, "status": "completed", "result": {"taskId": "t1"},
    }  # fmt: skip


@on_loop
async def test_questions_of_a_modern_task_pass_with_their_answers() -> None:
    """They are the server's and the client's alone; an acknowledgement names no task."""
    desk = Desk(offers_extension("a"))
    ours = desk.task_ids.seal(TaskRef("a", "t1"))
    asked = {"q": {"method": "elicitation/create", "params": {"message": "?"}}}
    told = desk.modern("tasks/get", {"taskId": ours, **DECLARED})
    desk.backends["a"].answer(
        json.dumps({"taskId": "t1", "status": "input_required", "inputRequests": asked}).encode()
    )
    assert told.message["result"]["inputRequests"] == asked
    answers = {"q": {"action": "accept", "content": {"a": 1.0}}}
    told = desk.modern("tasks/update", {"taskId": ours, "inputResponses": answers, **DECLARED})
    sent = json.loads(desk.backends["a"].calls[-1].outgoing.params)
    assert (sent["taskId"], sent["inputResponses"]) == ("t1", answers)
    desk.backends["a"].answer(b'{"resultType":"complete"}')
    assert told.message["result"] == {"resultType": "complete"}


@on_loop
async def test_a_task_that_the_client_did_not_allow_for_is_no_answer() -> None:
    """It did not declare the extension, or its request is none that may become a task."""
    desk = Desk(offers_extension("a"), catalogue("b", prompts="p", eras=frozenset({Era.MODERN})))
    for server_id, method, params in (
        ("a", "tools/call", {"name": "a__x"}),
        ("b", "prompts/get", {"name": "b__p", **DECLARED}),
    ):
        told = desk.modern(method, params)
        desk.backends[server_id].answer(CREATED)
        assert told.message["error"]["code"] == 32005
        assert "t1" not in told.only.body.decode()
    assert [outcome.status for outcome in desk.outcomes] == ["backend_protocol"] * 2


@on_loop
async def test_a_task_across_the_eras_is_no_answer() -> None:
    """Not for a legacy client, and not from a legacy server."""
    desk = Desk(offers_extension("a"), offers_core("b"))
    told = [
        desk.legacy("tools/call", {"name": "a__x"}),
        desk.modern("tools/call", {"name": "b__x", **DECLARED}),
    ]
    desk.backends["a"].answer(CREATED)
    desk.backends["b"].answer(CREATED)
    assert [one.message["error"]["code"] for one in told] == [32005, 32005]


@on_loop
async def test_a_modern_task_without_an_id_is_no_answer() -> None:
    """The client could never ask for it."""
    desk = Desk(offers_extension("a"))
    told = desk.modern("tools/call", {"name": "a__x", **DECLARED})
    desk.backends["a"].answer(b'{"resultType":"task","taskId":1}')
    assert told.message["error"]["code"] == 32005


@on_loop
async def test_a_task_remembers_the_instance_where_it_began() -> None:
    """Of a server with several, which the backend notes when it knows."""
    desk = Desk(offers_extension("a"))
    told = desk.modern("tools/call", {"name": "a__x", **DECLARED})
    desk.backends["a"].calls[0].outgoing.place = "http://127.0.0.1:1/mcp"
    desk.backends["a"].answer(CREATED)
    ref = desk.task_ids.open(told.message["result"]["taskId"])
    assert ref == TaskRef("a", "t1", 0, "http://127.0.0.1:1/mcp")


class CoreDesk(Desk):
    """One legacy session with a task at a server of its era."""

    def __init__(self, capabilities: bytes = b"{}") -> None:
        super().__init__(offers_core("a", "list", "cancel"))
        self.own = self.session(capabilities)
        self.serial = self.opened(self.own).serial
        self.ours = self.task_ids.seal(TaskRef("a", "t1", self.serial))


@pytest.mark.parametrize(
    ("method", "result", "expected"),
    [
        ("tools/call", {"task": {"taskId": "t1", "ttl": 5}}, {"task": {"taskId": "?", "ttl": 5}}),
        ("tools/call", {"content": []}, {"content": []}),
        ("tasks/get", {"taskId": "t1", "status": "working"}, {"taskId": "?", "status": "working"}),
        ("tasks/cancel", {"taskId": "t1", "_meta": {}}, {"taskId": "?", "_meta": {}}),
        ("tasks/result", {"content": [], "_meta": {"x": 1, RELATED: {"taskId": "t1"}}},
         {"content": [], "_meta": {"x": 1, RELATED: {"taskId": "?"}}}),
    ],
)  # fmt: skip
@on_loop
async def test_a_legacy_task_reaches_the_client_under_an_id_of_ours(
    method: str, result: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Wherever the results of its revision hold one."""
    desk = CoreDesk()
    params = {"name": "a__x", "task": {}} if method == "tools/call" else {"taskId": desk.ours}
    told = desk.legacy(method, params, desk.own)
    desk.hosted["a"].answer(json.dumps(result).encode())
    raw = json.dumps(told.message["result"])
    assert json.loads(raw.replace(desk.ours, "?")) == expected
    assert '"t1"' not in raw


@on_loop
async def test_the_result_of_a_legacy_task_is_waited_for_as_long_as_it_takes() -> None:
    """Any other request would have been given up."""
    desk = Desk(offers_core("a"), timeout_s=0.0)
    session = desk.session()
    ours = desk.task_ids.seal(TaskRef("a", "t1", desk.opened(session).serial))
    waiting = desk.legacy("tasks/result", {"taskId": ours}, session)
    hasty = desk.legacy("tasks/get", {"taskId": ours}, session)
    await eventually(lambda: hasty.answers, "the hasty one to be given up")
    assert hasty.message["error"]["code"] == 32002
    assert not waiting.answers
    desk.hosted["a"].answer(b'{"content":[]}', 0)
    assert waiting.message["result"] == {"content": []}


@on_loop
async def test_a_question_of_a_task_is_asked_and_answered_under_its_id() -> None:
    """The client is asked under ours; the server reads its own again, in the answer's `_meta`."""
    desk = CoreDesk(ELICITING)
    told = desk.legacy("tasks/result", {"taskId": desk.ours}, desk.own)
    related = {RELATED: {"taskId": "t1"}}
    asked = {"message": "?", "task": {"ttl": 1}, "_meta": related}
    desk.hosted["a"].ask("elicitation/create", asked)
    (question,) = told.messages
    assert question["params"] == {"message": "?", "_meta": {RELATED: {"taskId": desk.ours}}}
    answer = {"action": "accept", "_meta": {RELATED: {"taskId": desk.ours}}}
    body = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
    desk.post(desk.own, json.dumps(body).encode())
    assert desk.hosted["a"].calls[0].responses == [
        {"result": {"action": "accept", "_meta": related}}
    ]


@on_loop
async def test_a_refused_question_of_a_task_stays_refused() -> None:
    """An error holds no id."""
    desk = CoreDesk(ELICITING)
    told = desk.legacy("tasks/result", {"taskId": desk.ours}, desk.own)
    related = {"_meta": {RELATED: {"taskId": "t1"}}}
    desk.hosted["a"].ask("elicitation/create", {"message": "?", **related})
    error = {"code": -1, "message": "no"}
    body = {"jsonrpc": "2.0", "id": told.messages[0]["id"], "error": error}
    desk.post(desk.own, json.dumps(body).encode())
    assert desk.hosted["a"].calls[0].responses == [{"error": error}]


@on_loop
async def test_what_a_call_s_stream_says_of_tasks_is_said_under_their_ids() -> None:
    """Their status, and log messages that belong to one."""
    desk = CoreDesk()
    told = desk.legacy("tasks/result", {"taskId": desk.ours}, desk.own)
    desk.hosted["a"].notify(STATUS, {"taskId": "t1", "status": "working"})
    related = {"level": "error", "data": 1, "_meta": {RELATED: {"taskId": "t1"}}}
    desk.hosted["a"].notify("notifications/message", related)
    status, logged = told.messages
    assert status["params"] == {"taskId": desk.ours, "status": "working"}
    assert logged["params"] == {**related, "_meta": {RELATED: {"taskId": desk.ours}}}


def notice(desk: CoreDesk, method: str, params: dict[str, Any], level: int = 0) -> Any:
    """Return what a session is told, parsed."""
    message = scan(notification(method, params))
    said = session_notice(desk.task_ids, desk.opened(desk.own), "a", message, level)
    return None if said is None else json.loads(said)["params"]


@on_loop
async def test_a_session_hears_of_its_tasks_while_no_call_is_under_way() -> None:
    """Their status, log messages at its level, URLs that are done, and what has changed."""
    desk = CoreDesk()
    assert notice(desk, STATUS, {"taskId": "t1", "x": 1}) == {"taskId": desk.ours, "x": 1}
    related = {"level": "info", "_meta": {RELATED: {"taskId": "t1"}}}
    said = notice(desk, "notifications/message", related)
    assert said["_meta"] == {RELATED: {"taskId": desk.ours}}
    assert notice(desk, "notifications/message", related, level=4) is None
    own = {"level": "info", "data": 2.0}
    assert notice(desk, "notifications/message", own) == own
    assert notice(desk, "notifications/message", own, level=4) is None
    assert notice(desk, "notifications/tools/list_changed", {}) == {}
    updated = {"uri": "a://1", "x": 2.0}
    assert notice(desk, "notifications/resources/updated", updated) == updated
    assert notice(desk, "notifications/other", {}) is None
    done = {"elicitationId": "theirs"}
    assert notice(desk, "notifications/elicitation/complete", done) == done


@pytest.mark.parametrize("own", [7, "mine"])
@on_loop
async def test_progress_of_a_task_finds_its_client_when_the_call_has_long_ended(
    own: int | str,
) -> None:
    """By the token alone, which stays valid until the task ends."""
    desk = CoreDesk()
    params = {"name": "a__x", "task": {}, "_meta": {"progressToken": own}}
    told = desk.legacy("tools/call", params, desk.own)
    sent = json.loads(desk.hosted["a"].calls[0].outgoing.params)["_meta"]["progressToken"]
    desk.hosted["a"].notify("notifications/progress", {"progressToken": sent, "progress": 1})
    assert told.messages[0]["params"] == {"progressToken": own, "progress": 1}
    desk.hosted["a"].answer(b'{"task":{"taskId":"t1"}}')
    said = notice(desk, "notifications/progress", {"progressToken": sent, "progress": 2})
    assert said == {"progressToken": own, "progress": 2}
    other = CoreDesk()
    assert notice(other, "notifications/progress", {"progressToken": sent}) is None
    assert notice(desk, "notifications/progress", {"progressToken": "o1-1.0-1"}) is None
