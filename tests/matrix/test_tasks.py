"""Tasks, in both designs: the core's of 2025-11-25 and the extension of 2026-07-28."""

import json

import pytest

from tests.matrix.client import OWN, Client, Reply
from tests.matrix.gaps import everywhere
from tests.matrix.sides import Pair, Plain
from tests.matrix.stage import Stage
from tests.matrix.test_changes import listen
from tests.matrix.test_questions import expected
from tests.support.matrix.exotic import EXOTIC
from tests.support.matrix.jobs import EXTENSION, RELATED

pytestmark = pytest.mark.real
ENDED = ("completed", "cancelled")


def allowing(client: Client) -> Plain:
    """Return the metadata with which a modern client takes tasks for an answer."""
    if not client.front.is_modern:
        return {}
    return {OWN + "clientCapabilities": {**client.capabilities, "extensions": {EXTENSION: {}}}}


async def call(
    client: Client, pair: Pair, meta: Plain | None = None, /, **arguments: object
) -> Reply:
    """Call the tool that may run as a task, and allow for one in the way of the client's era."""
    params: Plain = {"name": pair.name("job"), "arguments": arguments}
    if not client.front.is_modern:
        params["task"] = {"ttl": 60_000}
    return await client.request("tools/call", params, meta={**allowing(client), **(meta or {})})


async def begin(
    client: Client, pair: Pair, meta: Plain | None = None, /, **arguments: object
) -> str:
    """Have the tool run as a task; returns the task's id."""
    reply = await call(client, pair, meta, **arguments)
    if client.front.is_modern:
        assert reply.result["resultType"] == "task"
        return check(client, reply, reply.result)
    assert "resultType" not in reply.result
    return check(client, reply, reply.result["task"])


def check(client: Client, reply: Reply, task: Plain) -> str:
    """Check what is told of a task, in the words of the client's era; returns its id."""
    theirs, others = {"ttl", "pollInterval"}, {"ttlMs", "pollIntervalMs"}
    if client.front.is_modern:
        theirs, others = others, theirs
    assert theirs <= task.keys()
    assert not others & task.keys()
    assert EXOTIC in reply.raw
    assert "theirs-" not in reply.raw
    task_id: str = task["taskId"]
    return task_id


async def about(client: Client, method: str, task_id: str, **params: object) -> Reply:
    """Send a request about a task."""
    return await client.request(method, {"taskId": task_id, **params}, meta=allowing(client))


async def get(client: Client, task_id: str) -> Plain:
    """Return what is told of a task now."""
    reply = await about(client, "tasks/get", task_id)
    assert check(client, reply, reply.result) == task_id
    return reply.result


async def result(client: Client, task_id: str) -> Plain:
    """Return what the tool said in a task that is over, or is as soon as somebody waits for it."""
    if client.front.is_modern:
        told = await get(client, task_id)
        while told["status"] not in ENDED:
            told = await get(client, task_id)
        found: Plain = told["result"]
    else:
        found = (await about(client, "tasks/result", task_id)).result
        assert found["_meta"][RELATED] == {"taskId": task_id}
    said: Plain = json.loads(found["content"][0]["text"])
    return said


@everywhere("a task")
async def test_a_call_becomes_a_task_whose_result_is_fetched(pair: Pair, stage: Stage) -> None:
    """Each time that it is asked for; under an id of ours, and the server under its own."""
    client, key = await stage.client(pair.front), stage.nonce()
    task_id = await begin(client, pair, key=key)
    assert (await get(client, task_id))["status"] == "completed"
    for _ in range(2):
        assert await result(client, task_id) == {"key": key, "answer": None}
    assert stage.of(pair).find("message", task_id) == []


@everywhere("a task that takes its time")
async def test_a_task_is_polled_until_it_is_done(pair: Pair, stage: Stage) -> None:
    """The client sees each of its states."""
    client, key = await stage.client(pair.front), stage.nonce()
    task_id = await begin(client, pair, key=key, polls=3)
    states = [(await get(client, task_id))["status"] for _ in range(4)]
    assert states == ["working", "working", "completed", "completed"]


@everywhere("a task that is cancelled")
async def test_a_task_that_its_client_takes_back_is_cancelled_at_the_server(
    pair: Pair, stage: Stage
) -> None:
    """And stays so."""
    client, key, records = await stage.client(pair.front), stage.nonce(), stage.of(pair)
    task_id = await begin(client, pair, key=key, polls=-1)
    assert (await get(client, task_id))["status"] == "working"
    assert records.find("cancelled", key=key) == []
    acknowledged = (await about(client, "tasks/cancel", task_id)).result
    if pair.front.is_modern:
        assert acknowledged["resultType"] == "complete"
        assert "taskId" not in acknowledged
    else:
        assert (acknowledged["taskId"], acknowledged["status"]) == (task_id, "cancelled")
    await records.wait("cancelled", key=key)
    assert (await get(client, task_id))["status"] == "cancelled"


@everywhere("a task that fails")
async def test_a_task_that_fails_says_why(pair: Pair, stage: Stage) -> None:
    """With the server's own error: beside the status, or in place of a legacy task's result."""
    client, key = await stage.client(pair.front), stage.nonce()
    task_id = await begin(client, pair, key=key, fails=True)
    told = await get(client, task_id)
    assert told["status"] == "failed"
    if pair.front.is_modern:
        error = told["error"]
    else:
        reply = await about(client, "tasks/result", task_id)
        error = reply.error
        assert EXOTIC in reply.raw
    assert (error["code"], error["message"]) == (-31999, f"{key}.task")


@everywhere("progress of a task")
async def test_a_task_makes_progress_when_its_call_has_ended(pair: Pair, stage: Stage) -> None:
    """Under the client's own token, which goes on to be the task's."""
    client, key, token = await stage.client(pair.front), stage.nonce(), stage.nonce()
    task_id = await begin(client, pair, {"progressToken": token}, key=key)
    await get(client, task_id)
    heard = await client.hears("notifications/progress", f'"{key}.task"')
    assert heard.params["progressToken"] == token
    assert EXOTIC in heard.raw


async def listed(client: Client) -> dict[str, str]:
    """Return the status of each task of a session, by its id, from all pages."""
    found: dict[str, str] = {}
    params: Plain = {}
    while True:
        page = (await client.request("tasks/list", params)).result
        for task in page["tasks"]:
            assert task["taskId"] not in found
            found[task["taskId"]] = task["status"]
        if "nextCursor" not in page:
            return found
        params = {"cursor": page["nextCursor"]}


@everywhere("listed tasks")
async def test_the_tasks_of_a_session_are_listed(pair: Pair, stage: Stage) -> None:
    """Page by page, among those at other servers; no other session sees them."""
    client, stranger = await stage.client(pair.front), await stage.client(pair.front, bare=True)
    begun = [await begin(client, pair, key=stage.nonce(), polls=-1) for _ in range(3)]
    await about(client, "tasks/cancel", begun[0])
    found = await listed(client)
    assert [found[task_id] for task_id in begun] == ["cancelled", "working", "working"]
    assert not (await listed(stranger)).keys() & found.keys()


@everywhere("the status of a task")
async def test_a_client_hears_what_becomes_of_its_task(pair: Pair, stage: Stage) -> None:
    """On a subscription to the task, or in the legacy era without having asked."""
    client, method = await stage.client(pair.front), "notifications/tasks/status"
    task_id = await begin(client, pair, key=stage.nonce(), polls=-1)
    if pair.front.is_modern:
        method = "notifications/tasks"
        await listen(client, {"taskIds": [task_id]}, allowing(client))
    await about(client, "tasks/cancel", task_id)
    heard = await client.hears(method, '"cancelled"', task_id)
    assert heard.params["taskId"] == task_id
    assert EXOTIC in heard.raw
    assert "theirs-" not in heard.raw


@everywhere("a task that asks")
async def test_a_task_that_asks_its_client_is_answered(pair: Pair, stage: Stage) -> None:
    """With the update of a modern task; while a legacy client waits for the result."""
    client, key = await stage.client(pair.front), stage.nonce()
    task_id = await begin(client, pair, key=key, asks=True)
    told = await get(client, task_id)
    assert told["status"] == "input_required"
    if pair.front.is_modern:
        ((name, question),) = told["inputRequests"].items()
        answer = client.answer(question)["result"]
        reply = await about(client, "tasks/update", task_id, inputResponses={name: answer})
        assert reply.result["resultType"] == "complete"
    said = await result(client, task_id)
    assert said == {"key": key, "answer": expected(client, f"{key}.task", "form")}
    if not pair.front.is_modern:
        (asked,) = [one for one in client.asked if f"{key}.task" in one.raw]
        assert asked.params["_meta"][RELATED] == {"taskId": task_id}
        assert EXOTIC in asked.raw


@everywhere("another's task")
async def test_a_task_belongs_to_its_own_session_alone(pair: Pair, stage: Stage) -> None:
    """Who else has its id can neither look at it nor end it; the server is not even asked."""
    client, stranger = await stage.client(pair.front), await stage.client(pair.front, bare=True)
    key, records = stage.nonce(), stage.of(pair)
    task_id = await begin(client, pair, key=key, polls=-1)
    theirs = (await records.wait("task", key=key))["task"]
    for method in ("tasks/get", "tasks/result", "tasks/cancel"):
        assert (await about(stranger, method, task_id)).error["code"] == -32602
    assert (await get(client, task_id))["status"] == "working"
    (asked,) = records.find("message", theirs)
    assert asked["method"] == "tasks/get"


@everywhere("no task unasked")
async def test_a_client_that_does_not_ask_for_a_task_gets_a_plain_result(
    pair: Pair, stage: Stage
) -> None:
    """Although the tool may run as one."""
    client, key = await stage.client(pair.front), stage.nonce()
    reply = await client.call(pair.name("job"), key=key)
    assert reply.said == {"key": key, "answer": None}


@everywhere("tasks of the other era")
async def test_a_client_that_asks_for_a_task_that_cannot_be_gets_none(
    pair: Pair, stage: Stage
) -> None:
    """It may have been told of others: then a legacy client's wish is refused, else ignored."""
    client, key = await stage.client(pair.front), stage.nonce()
    reply = await call(client, pair, key=key)
    if pair.front.revision == "2025-11-25":
        assert reply.error["code"] == -32601
        assert stage.of(pair).find("message", key) == []
    else:
        assert reply.said == {"key": key, "answer": None}


@everywhere("methods of tasks")
async def test_methods_of_tasks_are_known_to_clients_of_their_era_alone(
    pair: Pair, stage: Stage
) -> None:
    """Who knows them is told that there is no such task."""
    client, task_id = await stage.client(pair.front), f"theirs-{stage.nonce()}"
    known = {"tasks/get", "tasks/cancel"}
    known |= {"tasks/update"} if pair.front.is_modern else {"tasks/result"}
    if pair.front.revision < "2025-11-25":
        known = set()
    for method in ("tasks/get", "tasks/cancel", "tasks/update", "tasks/result"):
        reply = await about(client, method, task_id)
        assert reply.error["code"] == (-32602 if method in known else -32601)
    if pair.front.revision != "2025-11-25":
        assert (await client.request("tasks/list", meta=allowing(client))).error["code"] == -32601
