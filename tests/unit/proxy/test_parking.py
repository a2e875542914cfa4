"""Calls that wait for the next request of a modern client, and the tickets that lead to them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import BackendLost, InvalidParams
from only1mcp.proxy import parking
from only1mcp.proxy.parking import PREFIX, Parking
from tests.support.asking import ACCEPTED, Asked, askable_desk
from tests.support.desk import tool_result
from tests.support.loop import eventually, on_loop
from tests.support.told import Told


async def parked() -> tuple[Asked, str]:
    """Return a call that waits for its client, and its ticket."""
    call = Asked(askable_desk())
    call.ask()
    _, state = await call.wanted()
    return call, state


def refused(told: Told) -> str:
    """Return why a request was refused."""
    assert told.only.status == 400
    assert told.message["error"]["code"] == -32602
    return str(told.message["error"]["message"])


@on_loop
async def test_a_ticket_is_good_once() -> None:
    """The second to bring it finds the call gone on, and does it no harm."""
    call, state = await parked()
    first = call.retry(state, {"q1": ACCEPTED})
    second = call.retry(state, {"q1": ACCEPTED})
    assert "has ended" in refused(second)
    assert len(call.responses) == 1
    call.backend.answer(tool_result("done"))
    assert first.message["id"] == "r2"


@on_loop
async def test_a_ticket_continues_only_the_request_that_it_was_given_for() -> None:
    """Another tool, other arguments or another method are another request; the call waits on."""
    call, state = await parked()
    bring = {"requestState": state, "inputResponses": {"q1": ACCEPTED}}
    others: list[dict[str, object]] = [{"arguments": {"n": 2}}, {"arguments": {}}, {"more": 1}]
    for other in others:
        assert "another request" in refused(call.send({**bring, **other}))
    assert len(call.desk.parking) == 1
    assert call.responses == []
    call.send(bring)
    assert call.responses == [{"result": ACCEPTED}]


@on_loop
async def test_what_may_change_between_two_requests_may_change() -> None:
    """The order of the parameters, and all that stands in `_meta`."""
    call, state = await parked()
    told = call.desk.modern(
        "tools/call",
        {
            "requestState": state, "arguments": {"n": 1}, "inputResponses": {"q1": ACCEPTED},
            "name": "a__x", "_meta": {"traceparent": "00-1"},
        },
        request_id=2,
    )  # fmt: skip
    assert told.answers == []
    assert call.responses == [{"result": ACCEPTED}]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state + "-TAMPERED", lambda state: state + "!", lambda state: state + "=",
        lambda state: state + "\n", lambda state: state[:-1], lambda state: state[: len(PREFIX)],
        lambda state: PREFIX + state, lambda state: state.removeprefix(PREFIX),
        lambda state: state[:20] + ("A" if state[20] != "A" else "B") + state[21:],
        lambda state: "x", lambda state: "é", lambda state: PREFIX + "é" * 40,
        lambda state: state[:10] + " " + state[10:],
    ],
)  # fmt: skip
@on_loop
async def test_a_ticket_that_was_altered_is_refused(change: object) -> None:
    """Whatever was altered (2026-07-28, basic/patterns/mrtr); the call waits on."""
    call, state = await parked()
    assert callable(change)
    assert "is not valid" in refused(call.retry(change(state), {"q1": ACCEPTED}))
    assert len(call.desk.parking) == 1
    call.retry(state, {"q1": ACCEPTED})
    assert call.responses == [{"result": ACCEPTED}]


@on_loop
async def test_every_single_character_of_a_ticket_counts() -> None:
    """There is one spelling of it and no other."""
    call, state = await parked()
    alphabet = string.ascii_letters + string.digits + "-_"
    for at in range(len(PREFIX), len(state)):
        for other in {alphabet[alphabet.index(state[at]) ^ bit] for bit in (1, 32)}:
            with pytest.raises(InvalidParams):
                call.desk.parking.read(state[:at] + other + state[at + 1 :])
    assert call.desk.parking.read(state).address == "1.0"


@given(st.text(max_size=100))
def test_no_text_is_taken_for_a_ticket(text: str) -> None:
    """It is refused as the client's mistake, with or without the prefix."""
    subject = Parking("1.0", bytes(32))
    for state in (text, PREFIX + text):
        with pytest.raises(InvalidParams):
            subject.read(state)


@on_loop
async def test_a_ticket_of_another_gateway_is_refused() -> None:
    """It was sealed with another key."""
    _, state = await parked()
    with pytest.raises(InvalidParams):
        Parking("1.0", bytes(31) + b"\1").read(state)


@pytest.mark.parametrize("state", [None, 5, {}, []])
@on_loop
async def test_a_state_that_is_no_text_is_refused_or_counts_as_none(state: object) -> None:
    """Null is how some SDKs write what they leave out: then the request is a new one."""
    call, _ = await parked()
    told = call.send({"requestState": state})
    if state is None:
        assert told.answers == []
        assert len(call.backend.calls) == 2
    else:
        assert "must be a string" in refused(told)


@pytest.mark.parametrize("responses", [5, [], "x", {"q1": 5}, {"q1": None}])
@on_loop
async def test_malformed_answers_are_refused_and_cost_nothing(responses: object) -> None:
    """The call waits on."""
    call, state = await parked()
    told = call.send({"requestState": state, "inputResponses": responses})
    assert "inputResponses" in refused(told)
    assert len(call.desk.parking) == 1


@on_loop
async def test_a_server_that_answers_while_its_client_is_away_is_heard_later() -> None:
    """The answer bears the id of the request that fetches it."""
    call, state = await parked()
    call.backend.answer(tool_result("done"))
    assert call.told.message["result"]["resultType"] == "input_required"
    told = call.retry(state, {"q1": ACCEPTED})
    assert told.message["id"] == "r2"
    assert told.message["result"]["content"][0]["text"] == "done"
    assert call.responses == []
    assert call.desk.attempts == [("a", "ok")]
    assert "has ended" in refused(call.retry(state, {}))


@on_loop
async def test_a_server_that_ends_while_its_client_is_away_is_heard_later_too() -> None:
    """The client learns it with its next request."""
    call, state = await parked()
    call.backend.answer(BackendLost("server a is gone"))
    told = call.retry(state, {"q1": ACCEPTED})
    assert (told.message["id"], told.message["error"]["code"]) == ("r2", 32003)
    assert call.desk.attempts == [("a", "backend_lost")]


@on_loop
async def test_a_client_that_does_not_come_back_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its call is cancelled, nothing waits any more, and its ticket is worth nothing."""
    monkeypatch.setattr(parking, "PATIENCE_S", 0.02)
    call, state = await parked()
    await eventually(lambda: not len(call.desk.parking), "the end of the wait")
    assert call.backend.calls[0].cancelled
    assert call.desk.attempts == [("a", "cancelled")]
    assert "has ended" in refused(call.retry(state, {"q1": ACCEPTED}))


@on_loop
async def test_a_wait_that_is_over_ends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a call that went on was stopped."""
    monkeypatch.setattr(parking, "PATIENCE_S", 0.05)
    call, state = await parked()
    told = call.retry(state, {"q1": ACCEPTED})
    other = Asked(call.desk)
    other.ask()
    await other.wanted()
    await eventually(lambda: not len(call.desk.parking), "the time to have passed")
    assert not call.backend.calls[0].cancelled
    call.backend.answer(tool_result("done"), 0)
    assert told.only.status == 200


@on_loop
async def test_a_call_that_waits_in_another_worker_is_continued_there() -> None:
    """The answer comes from there; a client that leaves then leaves there."""
    call, state = await parked()
    other = askable_desk(address="1.1")
    here = Asked(other)
    told = here.retry(state, {"q1": ACCEPTED})
    (forwarded,) = other.peers.forwarded
    assert (forwarded.address, told.answers) == ("1.0", [])
    forwarded.request.forwarded = True
    there = call.desk.take(forwarded.request)
    assert call.responses == [{"result": ACCEPTED}]
    call.backend.answer(tool_result("done"))
    assert there.message["id"] == "r2"
    told.cancel()
    assert forwarded.cancelled


@on_loop
async def test_a_call_whose_worker_is_gone_has_ended() -> None:
    """The client is told to call again."""
    _, state = await parked()
    other = askable_desk(address="1.1")
    told = Asked(other).retry(state, {"q1": ACCEPTED})
    other.peers.forwarded[0].on_gone()
    assert "call again without requestState" in refused(told)


@on_loop
async def test_a_ticket_is_not_passed_on_twice() -> None:
    """Workers cannot send a request round in circles."""
    _, state = await parked()
    other = askable_desk(address="1.1")
    Asked(other).retry(state, {"q1": ACCEPTED})
    (forwarded,) = other.peers.forwarded
    forwarded.request.forwarded = True
    third = askable_desk(address="1.2")
    assert "has ended" in refused(third.take(forwarded.request))
    assert third.peers.forwarded == []


@on_loop
async def test_an_empty_ticket_is_none_of_ours() -> None:
    """The call is not begun anew: its client believes that it goes on."""
    call = Asked(askable_desk())
    assert "not valid" in refused(call.retry("", {"q1": ACCEPTED}))
    assert len(call.backend.calls) == 1
