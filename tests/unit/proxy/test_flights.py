"""Equal calls at the same time: one call to the server, and an answer for each."""

import json
from typing import Any

import pytest

from only1mcp._speedups import HITS, JOINED, MISSES
from only1mcp.errors import BackendLost
from only1mcp.memory.cache_epochs import TOOL
from only1mcp.registry.server import Kept
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.fake_backend import refusal
from tests.support.loop import eventually, on_loop
from tests.support.messages import OWN
from tests.support.told import Told

KEPT = {"a": Kept((("x", 10.0),))}
CALL: dict[str, Any] = {"name": "a__x", "arguments": {"q": 1}}
ASKED: dict[str, Any] = {OWN + "clientCapabilities": {"elicitation": {}}}


def desk(**more: Any) -> Desk:
    """Return a pipeline before a server that keeps the answers of its tool."""
    return Desk(catalogue("a", tools="x"), kept=KEPT, **more)


def calls(subject: Desk, count: int) -> list[Told]:
    """Send equal calls."""
    return [subject.modern("tools/call", CALL, request_id=number) for number in range(count)]


def result(told: Told) -> Any:
    """Return what one was answered."""
    return told.message["result"]["content"][0]["text"]


@on_loop
async def test_equal_calls_at_the_same_time_are_one_call() -> None:
    """Each answer has the id of its own request."""
    subject = desk()
    told = calls(subject, 5)
    assert len(subject.backends["a"].calls) == 1
    assert not any(one.answers for one in told)
    subject.backends["a"].answer(tool_result("one"))
    assert [one.message["id"] for one in told] == [0, 1, 2, 3, 4]
    assert {result(one) for one in told} == {"one"}
    assert [one.cache for one in subject.outcomes] == ["miss"] + ["joined"] * 4
    assert [subject.shelves[at] for at in (HITS, JOINED, MISSES)] == [0, 4, 1]


@pytest.mark.parametrize(
    "end", [refusal(-32000, "busy"), BackendLost("gone")], ids=["error", "failure"]
)
@on_loop
async def test_a_failure_is_the_end_of_all_who_wait(end: Any) -> None:
    """They are the same caller's; the next call is sent anew."""
    subject = desk()
    told = calls(subject, 3)
    subject.backends["a"].answer(end)
    assert [one.message["id"] for one in told] == [0, 1, 2]
    assert len({one.message["error"]["code"] for one in told}) == 1
    assert len({one.only.status for one in told}) == 1
    calls(subject, 1)
    assert len(subject.backends["a"].calls) == 2


@on_loop
async def test_a_leader_that_leaves_does_not_end_the_call() -> None:
    """Nor is its answer lost to the cache."""
    subject = desk()
    leader, follower = calls(subject, 2)
    leader.cancel()
    assert not subject.backends["a"].calls[0].cancelled
    subject.backends["a"].answer(tool_result("one"))
    assert (leader.answers, result(follower)) == ([], "one")
    (again,) = calls(subject, 1)
    assert result(again) == "one"
    assert [one.status for one in subject.outcomes] == ["cancelled", "ok", "ok"]


@on_loop
async def test_a_call_that_nobody_waits_for_is_cancelled() -> None:
    """With the last who leaves, whoever came first."""
    subject = desk()
    leader, follower = calls(subject, 2)
    follower.cancel()
    (sent,) = subject.backends["a"].calls
    states = [sent.cancelled]
    leader.cancel()
    assert [*states, sent.cancelled] == [False, True]
    calls(subject, 1)
    assert len(subject.backends["a"].calls) == 2


@on_loop
async def test_a_follower_whose_time_is_over_ends_alone() -> None:
    """The leader's call may take longer: its server makes progress."""
    subject = desk(timeout_s=0.2)
    leader = subject.modern("tools/call", {**CALL, "_meta": {"progressToken": 7}})
    (follower,) = calls(subject, 1)
    token = json.loads(subject.backends["a"].calls[0].outgoing.token or b"")

    def progressed() -> bool:
        subject.backends["a"].notify(
            "notifications/progress", {"progressToken": token, "progress": 1}
        )
        return bool(follower.answers)

    await eventually(progressed, "the follower to end")
    assert "equal call" in follower.message["error"]["message"]
    assert leader.answers == []
    subject.backends["a"].answer(tool_result("late"))
    assert "late" in leader.only.body.decode()


@on_loop
async def test_messages_before_the_answer_are_for_the_leader_alone() -> None:
    """The others asked for none; they get the answer, which is not kept."""
    subject = desk()
    leader = subject.modern("tools/call", {**CALL, "_meta": {"progressToken": 7}})
    (follower,) = calls(subject, 1)
    token = json.loads(subject.backends["a"].calls[0].outgoing.token or b"")
    subject.backends["a"].notify("notifications/progress", {"progressToken": token, "progress": 1})
    subject.backends["a"].answer(tool_result("one"))
    assert (len(leader.sent), len(follower.sent), result(follower)) == (1, 0, "one")
    calls(subject, 1)
    assert len(subject.backends["a"].calls) == 2


@on_loop
async def test_an_answer_that_wants_something_of_its_client_is_for_the_leader_alone() -> None:
    """The others are asked for themselves."""
    subject = desk()
    told = [
        subject.modern("tools/call", {**CALL, "_meta": ASKED}, request_id=number)
        for number in range(3)
    ]
    backend = subject.backends["a"]
    asks = b'{"resultType":"input_required","inputRequests":{"%d":{"method":"roots/list"}}}'
    backend.answer(asks % 0)
    assert len(backend.calls) == 3
    backend.answer(asks % 1, 1)
    backend.answer(asks % 2, 2)
    assert [list(one.message["result"]["inputRequests"]) for one in told] == [["0"], ["1"], ["2"]]


@on_loop
async def test_what_changes_meanwhile_ends_the_chance_to_join() -> None:
    """The answer under way may not know of it."""
    subject = desk()
    calls(subject, 2)
    subject.epochs.target(0, TOOL, "x")
    later = calls(subject, 2)
    backend = subject.backends["a"]
    assert len(backend.calls) == 2
    backend.answer(tool_result("old"), 0)
    assert [one.answers for one in later] == [[], []]
    backend.answer(tool_result("new"), 1)
    assert [result(one) for one in (*later, *calls(subject, 1))] == ["new"] * 3


@on_loop
async def test_a_session_that_ends_takes_only_its_own_request_along() -> None:
    """The one of another session goes on."""
    subject = desk()
    first, second = subject.session(), subject.session()
    told = [subject.legacy("tools/call", CALL, one) for one in (first, second)]
    subject.pipeline.end_session(subject.opened(first).serial)
    assert "error" in told[0].message
    assert told[1].answers == []
    subject.backends["a"].answer(tool_result("one"))
    assert result(told[1]) == "one"


@on_loop
async def test_callers_do_not_wait_for_the_calls_of_others() -> None:
    """A client that can be asked and one that cannot are not the same caller's equals."""
    subject = desk()
    calls(subject, 1)
    subject.modern("tools/call", {**CALL, "_meta": ASKED})
    assert len(subject.backends["a"].calls) == 2
