"""What a legacy server asks during a call, and how a client of either era is asked."""

import asyncio
import json

import pytest

from only1mcp.protocol.versions import Era
from only1mcp.proxy import asks, parking
from tests.support.asking import (
    ACCEPTED,
    ALL,
    CALL,
    FORM,
    META,
    Asked,
    Relayed,
    answer,
    askable_desk,
)
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification


@on_loop
async def test_a_modern_client_is_asked_in_the_answer_to_its_request() -> None:
    """What it answers with its next request reaches the server, and the end that request."""
    call = Asked(askable_desk())
    call.ask(request_id=77)
    questions, state = await call.wanted()
    assert questions == {"q1": {"method": "elicitation/create", "params": FORM}}
    told = call.retry(state, {"q1": ACCEPTED})
    assert call.responses == [{"result": ACCEPTED}]
    call.backend.answer(tool_result("done"))
    assert told.message["id"] == "r2"
    assert told.message["result"]["content"][0]["text"] == "done"
    assert len(call.backend.calls) == 1
    assert len(call.desk.parking) == 0
    assert [outcome.status for outcome in call.desk.outcomes] == ["ok", "ok"]
    assert call.desk.attempts == [("a", "ok")]


@on_loop
async def test_questions_that_come_together_are_asked_together() -> None:
    """Each under a key of its own, in order."""
    call = Asked(askable_desk())
    call.ask(request_id=1)
    call.ask("roots/list", request_id=2)
    call.ask(request_id=3)
    questions, state = await call.wanted()
    assert {key: question["method"] for key, question in questions.items()} == {
        "q1": "elicitation/create", "q2": "roots/list", "q3": "elicitation/create",
    }  # fmt: skip
    assert "params" not in questions["q2"]
    call.retry(state, {"q3": ACCEPTED, "q2": {"roots": []}, "q1": {"action": "decline"}})
    assert call.responses == [
        {"result": ACCEPTED}, {"result": {"roots": []}}, {"result": {"action": "decline"}},
    ]  # fmt: skip


@on_loop
async def test_what_was_not_answered_is_asked_again() -> None:
    """Answers that nobody asked for are dropped; the server's call goes on all the while."""
    call = Asked(askable_desk())
    call.ask(request_id=1)
    call.ask(request_id=2)
    _, state = await call.wanted()
    told = call.retry(state, {"q2": ACCEPTED, "other": {"x": 1}})
    questions, again = await call.wanted(told)
    assert list(questions) == ["q1"]
    assert again != state
    told = call.retry(again, {})
    questions, again = await call.wanted(told)
    told = call.retry(again, {"q1": ACCEPTED, "q2": ACCEPTED})
    assert call.responses == [{"result": ACCEPTED}] * 2
    call.backend.answer(tool_result("done"))
    assert told.message["id"] == "r4"


@on_loop
async def test_a_question_that_comes_while_the_client_is_away_waits_for_it() -> None:
    """It goes out after the client has come back."""
    call = Asked(askable_desk())
    call.ask(request_id=1)
    _, state = await call.wanted()
    call.ask(request_id=2)
    call.ask(request_id=3)
    await asyncio.sleep(0)
    told = call.retry(state, {"q1": ACCEPTED})
    questions, state = await call.wanted(told)
    assert list(questions) == ["q2", "q3"]
    call.retry(state, {"q2": ACCEPTED, "q3": ACCEPTED})
    assert len(call.responses) == 3


@on_loop
async def test_a_question_that_is_taken_back_is_not_asked() -> None:
    """Neither if the client has not heard of it, nor once more if it has."""
    call = Asked(askable_desk())
    call.ask(request_id=1)
    call.ask(request_id=2)
    call.backend.notify("notifications/cancelled", {"requestId": 1})
    questions, state = await call.wanted()
    assert list(questions) == ["q2"]
    call.backend.notify("notifications/cancelled", {"requestId": 2})
    call.backend.notify("notifications/cancelled", {"requestId": "stranger"})
    call.backend.notify("notifications/cancelled")
    told = call.retry(state, {"q2": ACCEPTED})
    call.backend.answer(tool_result("done"))
    assert call.responses == []
    assert told.message["result"]["content"][0]["text"] == "done"


@on_loop
async def test_a_client_is_asked_only_what_it_declared() -> None:
    """In either era; the server is told so at once, and its call goes on."""
    calls: list[Asked | Relayed] = [
        Asked(askable_desk()),
        Relayed(askable_desk(), b'{"elicitation":{}}'),
    ]
    calls[0].backend.ask("sampling/createMessage", {"tools": []})
    calls[1].backend.ask("sampling/createMessage", {"messages": []})
    for call in calls:
        call.backend.ask("tasks/list", {})
        call.backend.ask("ping")
        refused, unknown, pong = call.backend.calls[0].responses
        assert refused["error"]["code"] == unknown["error"]["code"] == -32601
        assert "sampling/createMessage" in refused["error"]["message"]
        assert pong == {"result": {}}
        call.backend.answer(tool_result("done"))
        assert "result" in call.told.message
        assert call.told.messages == []


@on_loop
async def test_the_server_s_time_stands_still_while_a_modern_client_is_away() -> None:
    """And runs again once it is back: a person is not the server's fault."""
    desk = askable_desk(timeout_s=0.05)
    call = Asked(desk)
    call.ask()
    _, state = await call.wanted()
    other = call.send({})
    await eventually(lambda: other.answers, "the time to have passed")
    told = call.retry(state, {"q1": ACCEPTED})
    assert told.answers == []
    await eventually(lambda: told.answers, "the server's time to be over")
    assert told.message["error"]["code"] == 32002
    assert call.backend.calls[0].cancelled


@on_loop
async def test_progress_while_the_client_is_away_starts_no_clock() -> None:
    """Nor is it told to anybody."""
    desk = askable_desk(timeout_s=0.05)
    call = Asked(desk)
    call.ask()
    _, state = await call.wanted()
    call.backend.notify("notifications/progress", {"progressToken": "ours-1", "progress": 1})
    other = call.send({})
    await eventually(lambda: other.answers, "the time to have passed")
    assert not call.backend.calls[0].cancelled
    assert call.retry(state, {"q1": ACCEPTED}).answers == []


@on_loop
async def test_a_server_learns_that_nobody_can_be_asked_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When too many calls wait; its own goes on."""
    monkeypatch.setattr(parking, "MAX_PARKED", 1)
    desk = askable_desk()
    first = Asked(desk)
    first.ask()
    await first.wanted()
    second = Asked(desk)
    second.backend.ask("elicitation/create", FORM, request_id=1)
    second.backend.ask("elicitation/create", FORM, request_id=2)
    responses = second.backend.calls[1].responses
    await eventually(lambda: len(responses) == 2, "the refusal")
    assert {response["error"]["code"] for response in responses} == {32004}
    desk.hosted["a"].answer(tool_result("done"))
    assert second.told.only.status == 200


@on_loop
async def test_a_modern_client_that_leaves_after_coming_back_ends_the_call() -> None:
    """As at any other time that it waits."""
    call = Asked(askable_desk())
    call.ask()
    _, state = await call.wanted()
    call.told.cancel()
    assert not call.is_cancelled()
    call.retry(state, {"q1": ACCEPTED}).cancel()
    assert call.is_cancelled()
    assert call.desk.attempts == [("a", "cancelled")]


@on_loop
async def test_a_client_that_leaves_before_it_is_asked_is_not_asked() -> None:
    """Nothing waits for it."""
    call = Asked(askable_desk())
    call.ask()
    call.told.cancel()
    other = Asked(call.desk)
    other.ask()
    await other.wanted()
    assert call.told.answers == []
    assert len(call.desk.parking) == 1


@on_loop
async def test_a_legacy_client_is_asked_on_the_stream_of_its_call() -> None:
    """By a request of ours; its answer reaches the server byte for byte."""
    call = Relayed(askable_desk())
    call.ask("theirs")
    (question,) = call.told.messages
    assert (question["method"], question["params"]) == ("elicitation/create", FORM)
    assert question["id"] != "theirs"
    accepted = call.reply()
    assert (accepted.only.status, accepted.only.body) == (202, b"")
    assert call.backend.calls[0].responses == [{"result": ACCEPTED}]
    call.backend.answer(tool_result("done"))
    assert "result" in call.told.message
    assert call.told.methods == ["elicitation/create"]


@on_loop
async def test_an_error_of_the_client_reaches_the_server() -> None:
    """As it is."""
    call = Relayed(askable_desk())
    call.ask()
    error = {"code": -1, "message": "User rejected", "data": {"n": 1.5}}
    call.desk.post(call.session, answer(call.told.messages[0], {"error": error}))
    assert call.backend.calls[0].responses == [{"error": error}]


@on_loop
async def test_an_answer_counts_once_and_only_in_the_session_that_was_asked() -> None:
    """The ids of questions can be guessed no better than session ids, but are no secret."""
    call = Relayed(askable_desk())
    call.ask()
    stranger = call.reply(session=call.desk.session(ALL))
    assert (stranger.only.status, stranger.message["error"]["code"]) == (400, -32600)
    assert call.backend.calls[0].responses == []
    assert call.reply().only.status == 202
    again = call.reply()
    assert again.only.status == 400
    assert "answered once" in again.message["error"]["message"]
    assert len(call.backend.calls[0].responses) == 1


@pytest.mark.parametrize(
    "request_id", [1, "x", "o1", "o1-", "o1-1.0", "o1-1.0-", "o1-1.0-0123", -5, "o1--0123"]
)
@on_loop
async def test_an_answer_to_nothing_is_refused(request_id: object) -> None:
    """It need not be passed on to be known for what it is."""
    desk = askable_desk()
    body = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {}}).encode()
    assert desk.post(desk.session(), body).only.status == 400
    assert desk.peers.forwarded == []


@on_loop
async def test_a_question_that_the_server_takes_back_is_taken_back_from_the_client() -> None:
    """By our id; an answer that comes all the same is ignored."""
    call = Relayed(askable_desk())
    call.ask(1)
    call.ask(2)
    call.backend.notify("notifications/cancelled", {"requestId": 1})
    first, _, cancelled = call.told.messages
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == first["id"]
    call.backend.notify("notifications/cancelled", {"requestId": 1})
    call.backend.notify("notifications/cancelled", {"requestId": 9})
    assert len(call.told.messages) == 3
    assert call.reply(0).only.status == 202
    assert call.reply(1).only.status == 202
    assert len(call.backend.calls[0].responses) == 1


@on_loop
async def test_questions_are_taken_back_when_their_call_has_ended() -> None:
    """Before the answer, which is the last thing on the stream."""
    call = Relayed(askable_desk())
    call.ask(1)
    call.ask(2)
    call.backend.answer(tool_result("done"))
    first, second, *cancelled = call.told.messages
    assert {message["params"]["requestId"] for message in cancelled} == {first["id"], second["id"]}
    assert call.told.only.status == 200
    assert call.reply(0).only.status == 202


@on_loop
async def test_a_client_that_cancels_its_call_is_asked_no_more() -> None:
    """Its question is taken back, and the server is told of the end."""
    call = Relayed(askable_desk())
    call.ask()
    call.desk.post(call.session, notification("notifications/cancelled", {"requestId": 1}))
    assert call.told.methods == ["elicitation/create", "notifications/cancelled"]
    assert call.told.message["error"]["code"] == -32800
    assert call.backend.calls[0].cancelled
    assert call.reply().only.status == 202


@on_loop
async def test_the_server_s_time_stands_still_while_a_legacy_client_is_asked() -> None:
    """Until the last open question is answered or taken back."""
    desk = askable_desk(timeout_s=0.05)
    call = Relayed(desk)
    for number in (1, 2, 3):
        call.ask(number)
    call.reply(0)
    call.backend.notify("notifications/cancelled", {"requestId": 2})
    call.backend.notify("notifications/progress", {"progressToken": 1, "progress": 1})
    other = desk.legacy("tools/call", CALL, call.session, request_id=2)
    await eventually(lambda: other.answers, "the time to have passed")
    assert call.told.answers == []
    call.reply(2)
    await eventually(lambda: call.told.answers, "the server's time to be over")
    assert call.told.message["error"]["code"] == 32002


@on_loop
async def test_a_client_that_never_answers_is_answered_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server gets an error, the client is told that its answer is not wanted any more."""
    monkeypatch.setattr(asks, "PATIENCE_S", 0.02)
    call = Relayed(askable_desk())
    call.ask()
    responses = call.backend.calls[0].responses
    await eventually(lambda: responses, "the error")
    assert responses[0]["error"]["message"] == "the client did not answer"
    assert call.told.methods == ["elicitation/create", "notifications/cancelled"]
    assert call.reply().only.status == 202
    assert len(responses) == 1
    call.backend.answer(tool_result("done"))
    assert "result" in call.told.message


@on_loop
async def test_a_server_learns_that_too_many_questions_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client is not bothered with one more; after an answer there is room again."""
    monkeypatch.setattr(asks, "MAX_OPEN", 1)
    call = Relayed(askable_desk())
    call.ask(1)
    call.ask(2)
    assert call.backend.calls[0].responses[0]["error"]["code"] == 32004
    assert len(call.told.messages) == 1
    call.reply()
    call.ask(3)
    assert len(call.told.messages) == 2


@on_loop
async def test_a_question_waits_for_a_client_whose_connection_broke() -> None:
    """It comes on the next connection, and the answer by any."""
    call = Relayed(askable_desk())
    call.ask(1)
    first = call.told.event_ids[-1]
    call.told.cancel()
    call.ask(2)
    again = call.desk.stream(call.session, first)
    assert again.methods == ["elicitation/create"]
    call.desk.post(call.session, answer(again.messages[0], {"result": ACCEPTED}))
    assert len(call.backend.calls[0].responses) == 1


@on_loop
async def test_a_modern_server_cannot_ask_by_requests() -> None:
    """2026-07-28 knows none of servers; the client of either era hears nothing of it."""
    desk = Desk(catalogue("a", tools="x", eras=frozenset({Era.MODERN})))
    legacy = desk.legacy("tools/call", CALL, desk.session(ALL))
    modern = desk.modern("tools/call", {**CALL, "_meta": META})
    for number, told in enumerate((legacy, modern)):
        desk.backends["a"].ask("elicitation/create", FORM, number=number)
        assert desk.backends["a"].calls[number].responses[0]["error"]["code"] == -32601
        assert (told.messages, told.answers) == ([], [])
    assert len(desk.parking) == 0
