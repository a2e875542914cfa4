"""What legacy clients send that is no request, and whom it reaches."""

import pytest

from only1mcp.protocol.headers import McpHeaders
from tests.support.asking import askable_desk
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop
from tests.support.messages import MODERN, encode, notification
from tests.support.told import Told

CALL = {"name": "a__x"}


def cancel(desk: Desk, session: str, request_id: object) -> Told:
    """Cancel a request of a session."""
    body = notification("notifications/cancelled", {"requestId": request_id, "reason": "why"})
    return desk.post(session, body)


@pytest.mark.parametrize("request_id", [1, "1", "é", 0, -3])
@on_loop
async def test_a_client_cancels_its_request_by_its_own_id(request_id: object) -> None:
    """The server is told, and the request ends with an error that no user need see."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.legacy("tools/call", CALL, session, request_id=request_id)
    assert cancel(desk, session, request_id).only.status == 202
    assert (told.only.status, told.message["error"]["code"]) == (200, -32800)
    assert desk.backends["a"].calls[0].cancelled
    assert desk.attempts == [("a", "cancelled")]
    assert [outcome.status for outcome in desk.outcomes] == ["cancelled", "ok"]


@on_loop
async def test_ids_of_different_kinds_are_different_ids() -> None:
    """1 is not "1"."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = [desk.legacy("tools/call", CALL, session, request_id=one) for one in (1, "1")]
    cancel(desk, session, "1")
    assert [len(one.answers) for one in told] == [0, 1]


@on_loop
async def test_no_client_cancels_the_request_of_another() -> None:
    """Nor a modern one anything by a message: it closes its stream."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.legacy("tools/call", CALL, request_id=1)
    modern = desk.modern("tools/call", CALL, request_id=2)
    cancel(desk, desk.session(), 1)
    body = notification("notifications/cancelled", {"requestId": 2})
    assert desk.send(body, McpHeaders(version=MODERN)).only.status == 202
    assert (told.answers, modern.answers) == ([], [])


@on_loop
async def test_a_cancellation_that_comes_too_late_does_nothing() -> None:
    """The request was answered; nothing of it is remembered."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.legacy("tools/call", CALL, session, request_id=1)
    desk.backends["a"].answer(tool_result("x"))
    assert cancel(desk, session, 1).only.status == 202
    assert told.only.status == 200
    assert "result" in told.message


@on_loop
async def test_requests_of_one_id_are_answered_each_and_cancelled_together() -> None:
    """Whichever answer comes first."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = [desk.legacy("tools/call", CALL, session, request_id=1) for _ in range(4)]
    for place, text in ((1, "second"), (0, "first")):
        desk.backends["a"].answer(tool_result(text), place)
        assert told[place].message["result"]["content"][0]["text"] == text
    cancel(desk, session, 1)
    assert [one.message["error"]["code"] for one in told[2:]] == [-32800, -32800]
    assert [call.cancelled for call in desk.backends["a"].calls] == [False, False, True, True]


@on_loop
async def test_an_id_that_is_used_again_means_the_newest_request() -> None:
    """The end of the older one does not make that one impossible to cancel."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    old, new = (desk.legacy("tools/call", CALL, session, request_id=1) for _ in range(2))
    desk.backends["a"].answer(tool_result("x"), 0)
    assert "result" in old.message
    cancel(desk, session, 1)
    assert new.message["error"]["code"] == -32800


@on_loop
async def test_a_request_that_runs_in_another_worker_is_cancelled_there() -> None:
    """All others are told, once: who is told does not tell again."""
    desk = Desk(catalogue("a", tools="x"))
    other = Desk(catalogue("a", tools="x"), address="1.1")
    session = desk.session()
    told = other.legacy("tools/call", CALL, session, request_id=1)
    assert cancel(desk, session, 1).only.status == 202
    (request,) = desk.peers.told
    request.forwarded = True
    assert other.take(request).only.status == 202
    assert told.message["error"]["code"] == -32800
    other.take(request)
    assert other.peers.told == []


@pytest.mark.parametrize("params", [None, {}, {"requestId": None}, {"requestId": []}, {"x": 1}])
@on_loop
async def test_a_cancellation_of_nothing_is_accepted(params: dict[str, object] | None) -> None:
    """It harms nobody."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.legacy("tools/call", CALL, session)
    assert desk.post(session, notification("notifications/cancelled", params)).only.status == 202
    assert told.answers == []


@on_loop
async def test_a_request_that_is_cancelled_after_its_connection_broke_is_not_told_again() -> None:
    """Its stream holds the end for a client that comes back."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.legacy("tools/call", {**CALL, "_meta": {"progressToken": 7}}, session)
    desk.backends["a"].notify("notifications/progress", {"progressToken": "ours-1"})
    told.cancel()
    cancel(desk, session, 1)
    assert told.answers == []
    again = desk.stream(session, told.event_ids[-1])
    assert again.messages[0]["error"]["code"] == -32800
    assert again.has_ended


@on_loop
async def test_changed_roots_are_told_of_their_session() -> None:
    """Other notifications are nobody's business."""
    desk = askable_desk()
    session = desk.session(b'{"roots":{"listChanged":true}}')
    for method in ("roots/list_changed", "initialized", "progress", "unknown"):
        assert desk.post(session, notification(f"notifications/{method}")).only.status == 202
    assert desk.roots_changed == [desk.opened(session).serial]


@on_loop
async def test_an_answer_for_another_worker_is_taken_there() -> None:
    """What that one says comes back; if it is gone, so is who asked, and nobody is to blame."""
    desk = askable_desk()
    session = desk.session()
    body = encode({"jsonrpc": "2.0", "id": "o1-1.4-0123", "result": {}})
    told = desk.post(session, body)
    (forwarded,) = desk.peers.forwarded
    assert (forwarded.address, forwarded.request.body, told.answers) == ("1.4", body, [])
    forwarded.on_gone()
    assert (told.only.status, told.only.body) == (202, b"")


@on_loop
async def test_an_answer_that_was_passed_on_is_not_passed_on_again() -> None:
    """Whoever gets it judges it."""
    desk = askable_desk()
    desk.post(desk.session(), encode({"jsonrpc": "2.0", "id": "o1-1.4-0123", "result": {}}))
    (forwarded,) = desk.peers.forwarded
    forwarded.request.forwarded = True
    other = askable_desk(address="1.5")
    assert other.take(forwarded.request).only.status == 400
    assert other.peers.forwarded == []
