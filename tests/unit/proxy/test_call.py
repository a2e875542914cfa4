"""One call under way: what the backend is sent, and what becomes of its answer, or of none."""

import itertools
import json
from typing import Any

import pytest

from only1mcp._speedups import members
from only1mcp.errors import BackendLost, BackendUnreachable, Only1MCPError, Overloaded
from only1mcp.protocol.translate import error_code
from only1mcp.protocol.versions import Era
from tests.support.asking import Asked, askable_desk
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.fake_backend import FakeBackend, refusal
from tests.support.loop import eventually, on_loop
from tests.support.messages import META, MODERN, OWN

MODERN_ONLY, LEGACY_ONLY = frozenset({Era.MODERN}), frozenset({Era.LEGACY})
CALL = {"arguments": {"n": 1.5, "name": "x"}, "name": "a__x", "_meta": {"progressToken": 7}}
SENT = {"arguments": CALL["arguments"], "name": "x", "_meta": {"progressToken": "ours-1"}}


def meta_of(params: bytes) -> Any:
    """Return the `_meta` of parameters that were sent."""
    return json.loads(params)["_meta"]


@on_loop
async def test_a_modern_server_gets_a_modern_call_as_it_came() -> None:
    """But for name and progress token; the client's own capabilities travel with it."""
    desk = Desk(catalogue("a", tools="x"))
    desk.modern("tools/call", CALL)
    (call,) = desk.backends["a"].calls
    outgoing = call.outgoing
    assert (outgoing.method, outgoing.era, outgoing.target) == ("tools/call", Era.MODERN, "x")
    sent = json.loads(outgoing.params)
    assert sent == {**CALL, "name": "x", "_meta": {**META, "progressToken": "ours-1"}}


@on_loop
async def test_a_legacy_server_gets_a_legacy_call_as_it_came() -> None:
    """Also when it speaks both eras: it is spoken to in the client's."""
    for eras in (LEGACY_ONLY, frozenset(Era), frozenset[Era]()):
        desk = Desk(catalogue("a", tools="x", eras=eras or LEGACY_ONLY))
        desk.legacy("tools/call", CALL)
        outgoing = desk.backends["a"].calls[0].outgoing
        assert outgoing.era is Era.LEGACY
        assert json.loads(outgoing.params) == SENT


@on_loop
async def test_a_modern_call_to_a_legacy_server_is_translated() -> None:
    """What belongs to the connection goes, the rest stays."""
    desk = Desk(catalogue("a", tools="x", eras=LEGACY_ONLY))
    told = desk.modern("tools/call", CALL)
    outgoing = desk.backends["a"].calls[0].outgoing
    assert outgoing.era is Era.LEGACY
    assert json.loads(outgoing.params) == SENT
    desk.backends["a"].answer(b'{"content":[],"n":1.0}')
    assert told.only.body.endswith(b'"result":{"resultType":"complete","content":[],"n":1.0}}')


@on_loop
async def test_a_legacy_call_to_a_modern_server_speaks_for_the_session() -> None:
    """Capabilities and name as the client gave them at initialize."""
    desk = Desk(catalogue("a", tools="x", eras=MODERN_ONLY))
    session = desk.session(b'{"roots":{}}', b'{"name":"c"}')
    told = desk.legacy("tools/call", CALL, session)
    outgoing = desk.backends["a"].calls[0].outgoing
    assert outgoing.era is Era.MODERN
    assert meta_of(outgoing.params) == {
        OWN + "protocolVersion": MODERN, OWN + "clientInfo": {"name": "c"},
        OWN + "clientCapabilities": {"roots": {}}, "progressToken": "ours-1",
        OWN + "logLevel": "info",
    }  # fmt: skip
    desk.backends["a"].answer(b'{"resultType":"complete","content":[],"n":1.0}')
    assert told.only.body.endswith(b'"result":{"content":[],"n":1.0}}')


@on_loop
async def test_a_resource_keeps_its_address_and_is_safe_to_ask_for_again() -> None:
    """Unlike a tool."""
    desk = Desk(catalogue("a", tools="x", resources="r://1"))
    desk.modern("resources/read", {"uri": "r://1"})
    desk.modern("tools/call", CALL)
    read, call = (received.outgoing for received in desk.backends["a"].calls)
    assert (read.target, read.safe, call.safe) == ("r://1", True, False)
    assert {k: read.params[a:b] for k, a, b in members(read.params)}["uri"] == b'"r://1"'


@pytest.mark.parametrize(
    ("code", "modern_status"),
    [(-32601, 404), (-32602, 200), (-32603, 200), (-32021, 400), (-32020, 400), (-31000, 200),
     (5, 200)],
)  # fmt: skip
@on_loop
async def test_a_backend_s_error_reaches_the_client_with_the_status_of_its_era(
    code: int, modern_status: int
) -> None:
    """The error itself is passed on, whole."""
    desk = Desk(catalogue("a", tools="x"))
    for send, status in ((desk.modern, modern_status), (desk.legacy, 200)):
        told = send("tools/call", CALL)
        desk.backends["a"].answer(refusal(code, more=b',"data":{"n":1.0}'))
        assert told.only.status == status
        assert told.message["error"] == {"code": code, "message": "no", "data": {"n": 1.0}}
    assert [outcome.status for outcome in desk.outcomes] == ["error", "error"]
    assert desk.attempts == [("a", "error")] * 2


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(BackendUnreachable("a"), 200, 32001), (BackendLost("a"), 200, 32003),
     (Overloaded("a"), 503, 32004)],
)  # fmt: skip
@on_loop
async def test_a_failure_is_answered_by_its_class(
    failure: BackendLost, status: int, code: int
) -> None:
    """And counted by its reason, for the request and for the attempt."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.modern("tools/call", CALL)
    desk.backends["a"].answer(failure)
    assert (told.only.status, told.message["error"]["code"]) == (status, code)
    assert desk.outcomes[0].status == failure.reason
    assert desk.attempts == [("a", failure.reason)]


def many_owners() -> Desk:
    """Three servers that may all have any resource of one scheme."""
    return Desk(*(catalogue(name, resources=f"r://{name}") for name in "abc"))


@pytest.mark.parametrize("code", [-32002, -32602])
@on_loop
async def test_the_next_owner_is_asked_when_one_does_not_know_the_resource(code: int) -> None:
    """Whichever code its era has for that; the first who knows it answers."""
    desk = many_owners()
    told = desk.modern("resources/read", {"uri": "r://new"})
    desk.backends["a"].answer(refusal(code))
    desk.backends["b"].answer(b'{"contents":[]}')
    assert told.message["result"]["contents"] == []
    assert [len(desk.backends[name].calls) for name in "abc"] == [1, 1, 0]
    assert desk.attempts == [("a", "error"), ("b", "ok")]
    assert [(outcome.server_id, outcome.status) for outcome in desk.outcomes] == [("b", "ok")]


@on_loop
async def test_when_nobody_knows_the_resource_the_last_answer_counts() -> None:
    """In the words of the client's era."""
    desk = many_owners()
    told = desk.modern("resources/read", {"uri": "r://new"})
    for name in "abc":
        desk.backends[name].answer(refusal(-32002, f"{name} has none"))
    assert told.message["error"] == {"code": -32602, "message": "c has none"}


@on_loop
async def test_no_failure_ends_the_search() -> None:
    """Who comes last may have the resource all the same."""
    desk = many_owners()
    told = desk.modern("resources/read", {"uri": "r://new"})
    desk.backends["a"].answer(refusal(-32603))
    desk.backends["b"].answer(BackendUnreachable("b is down"))
    desk.backends["c"].answer(b'{"contents":[]}')
    assert told.message["result"]["contents"] == []
    assert desk.attempts == [("a", "error"), ("b", "backend_unreachable"), ("c", "ok")]


@on_loop
async def test_of_several_failures_the_one_that_says_most_is_the_answer() -> None:
    """Refusals before outages, outages before servers that do not have it; it bears its server."""
    failures: list[bytes | Only1MCPError] = [
        refusal(-32002), refusal(-32601), BackendUnreachable("down"), refusal(-31000),
    ]  # fmt: skip
    for worse, better in itertools.combinations(failures, 2):
        for one, other in ((worse, better), (better, worse)):
            desk = Desk(*(catalogue(name, resources=f"r://{name}") for name in "ab"))
            told = desk.modern("resources/read", {"uri": "r://new"})
            desk.backends["a"].answer(one)
            desk.backends["b"].answer(other)
            code = better.code if isinstance(better, Only1MCPError) else error_code(better[1:])
            assert told.message["error"]["code"] == code
            assert desk.outcomes[0].server_id == ("b" if other is better else "a")


@on_loop
async def test_each_owner_is_spoken_to_in_an_era_that_it_knows() -> None:
    """Also while the search goes on."""
    desk = Desk(
        catalogue("a", resources="r://a", eras=MODERN_ONLY),
        catalogue("b", resources="r://b", eras=LEGACY_ONLY),
    )
    told = desk.legacy("resources/read", {"uri": "r://new"})
    desk.backends["a"].answer(refusal(-32602))
    desk.backends["b"].answer(b'{"contents":[]}')
    eras = [desk.backends[name].calls[0].outgoing.era for name in "ab"]
    assert eras == [Era.MODERN, Era.LEGACY]
    assert told.message["result"] == {"contents": []}


@on_loop
async def test_backends_that_answer_at_once_are_asked_in_turn_too() -> None:
    """And whoever is asked in the end is the one that is cancelled."""
    desk = many_owners()
    desk.backends["a"] = FakeBackend(lambda outgoing: refusal(-32002))
    desk.backends["b"] = FakeBackend(lambda outgoing: None)
    told = desk.modern("resources/read", {"uri": "r://new"})
    told.cancel()
    assert not desk.backends["a"].calls[0].cancelled
    assert desk.backends["b"].calls[0].cancelled
    desk.backends["b"] = FakeBackend(lambda outgoing: b'{"contents":[]}')
    assert desk.modern("resources/read", {"uri": "r://new"}).only.status == 200


@on_loop
async def test_a_backend_that_is_silent_is_given_up_in_time() -> None:
    """It is told so, and the client learns that the call may still run."""
    desk = Desk(catalogue("a", tools="x"), timeout_s=0.05)
    told = desk.modern("tools/call", CALL)
    await eventually(lambda: told.answers, "an answer")
    assert told.message["error"]["code"] == 32002
    assert "server a did not answer within 0.05 s" in told.message["error"]["message"]
    assert "raise `timeout`" in told.message["error"]["message"]
    assert desk.backends["a"].calls[0].cancelled
    assert desk.attempts == [("a", "backend_timeout")]
    assert [outcome.status for outcome in desk.outcomes] == ["backend_timeout"]


@on_loop
async def test_one_deadline_covers_the_whole_search() -> None:
    """Not each owner anew."""
    desk = Desk(*(catalogue(name, resources=f"r://{name}") for name in "ab"), timeout_s=0.05)
    told = desk.modern("resources/read", {"uri": "r://new"})
    desk.backends["a"].answer(refusal(-32002))
    await eventually(lambda: told.answers, "an answer")
    assert "server b did not answer" in told.message["error"]["message"]
    assert desk.attempts == [("a", "error"), ("b", "backend_timeout")]


@on_loop
async def test_an_answer_in_time_stops_the_clock() -> None:
    """Nothing comes after it."""
    desk = Desk(catalogue("a", tools="x"), timeout_s=0.02)
    told = desk.modern("tools/call", CALL)
    desk.backends["a"].answer(tool_result("y"))
    late = desk.modern("tools/call", CALL)
    await eventually(lambda: late.answers, "the second call to be given up")
    assert told.only.status == 200
    assert not desk.backends["a"].calls[0].cancelled


@on_loop
async def test_a_client_that_leaves_takes_its_call_along() -> None:
    """The backend is told, nothing is answered, and it is counted once."""
    desk = Desk(catalogue("a", tools="x"), timeout_s=0.02)
    told = desk.modern("tools/call", CALL)
    told.cancel()
    told.cancel()
    other = desk.modern("tools/call", CALL)
    await eventually(lambda: other.answers, "the clock to have passed")
    assert told.answers == []
    assert desk.backends["a"].calls[0].cancelled
    assert [outcome.status for outcome in desk.outcomes] == ["cancelled", "backend_timeout"]
    assert desk.attempts == [("a", "cancelled"), ("a", "backend_timeout")]


@on_loop
async def test_a_server_that_makes_progress_is_given_more_time() -> None:
    """As long as it makes some; also for a client that does not want to hear of it."""
    desk = Desk(catalogue("a", tools="x"), timeout_s=0.1)
    told, silent = (desk.modern("tools/call", {"name": "a__x"}) for _ in range(2))
    alive = desk.backends["a"].calls[0]

    def progress() -> bool:
        desk.backends["a"].notify("notifications/progress", {"progressToken": "x"}, 0)
        return bool(silent.answers)

    await eventually(progress, "the silent one to be given up")
    assert (told.answers, alive.cancelled) == ([], False)
    await eventually(lambda: told.answers, "the time of the other to be over as well")
    assert told.message["error"]["code"] == 32002


@on_loop
async def test_what_a_call_hears_before_its_answer_is_told_before_its_answer() -> None:
    """In order; what concerns nobody is dropped."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.legacy("tools/call", CALL)
    backend = desk.backends["a"]
    for number in range(3):
        backend.notify("notifications/progress", {"progressToken": "ours-1", "progress": number})
        backend.notify("notifications/message", {"level": "info", "data": number})
        backend.notify("notifications/resources/updated", {"uri": "x"})
    assert told.methods == ["notifications/progress", "notifications/message"] * 3
    assert told.answers == []
    backend.answer(tool_result("y"))
    assert told.only.status == 200


@on_loop
async def test_a_modern_client_is_sent_to_an_address_first_when_a_legacy_server_says_so() -> None:
    """By input_required without a state: the client calls again as if for the first time."""
    desk = askable_desk()
    call = Asked(desk)
    elicitation = b'{"mode":"url","url":"https://x.example","message":"m","elicitationId":"e"}'
    call.backend.answer(refusal(-32042, more=b',"data":{"elicitations":[%b]}' % elicitation))
    result = call.told.message["result"]
    assert result["resultType"] == "input_required"
    assert result["inputRequests"]["url-1"]["params"]["url"] == "https://x.example"
    assert "requestState" not in result
    again = call.send({"inputResponses": {"url-1": {"action": "accept"}}})
    call.backend.answer(tool_result("done"))
    assert "content" in again.message["result"]
    assert len(call.backend.calls) == 2


@pytest.mark.parametrize("method", ["tools/list_changed", "resources/updated"])
@on_loop
async def test_what_is_about_more_than_the_call_is_told_to_who_cares_for_it(method: str) -> None:
    """Before the answer; the client hears of it on its own subscription, if it wants to."""
    desk = Desk(catalogue("a", tools="x"))
    for send in (desk.modern, desk.legacy):
        told = send("tools/call", CALL)
        desk.backends["a"].notify(f"notifications/{method}", {"uri": "r://1"})
        assert desk.asides.pop() == ("a", f"notifications/{method}")
        desk.backends["a"].answer(b'{"content":[]}')
        assert told.messages == []
