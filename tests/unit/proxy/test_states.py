"""The states of modern servers' calls, on their way through modern clients and back."""

import json
from typing import Any

import pytest

from only1mcp.auth.access import Access
from only1mcp.auth.principal import Key, Principal
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.states import PREFIX
from tests.support.asking import ACCEPTED, FORM, META
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop
from tests.support.messages import modern, modern_headers
from tests.support.told import Told

STATE = r'"th\u00e9irs \/ \"1\""'
"""As a server may write it: it gets back these very bytes."""
ASKED = {"method": "elicitation/create", "params": FORM}
ANN, EVE = Principal("ann"), Principal("eve", 1)


class Stateful:
    """A call of a modern server that asks, and who sends it."""

    def __init__(self, *ids: str) -> None:
        access = Access()
        keys = [Key(who.id, f"{who.number:064x}") for who in (ANN, EVE)]
        access.follow(keys, None, {who.id: who.number for who in (ANN, EVE)})
        offers = [catalogue(one, tools="x") for one in ids or ("a",)]
        self.desk = Desk(*offers, access=access)

    def send(self, who: Principal = ANN, tool: str = "a__x", **more: Any) -> Told:
        """Send the call."""
        body = modern("tools/call", {"name": tool, "_meta": META, **more})
        headers = modern_headers("tools/call", tool)
        return self.desk.take(Request(headers, body, "", principal=who))

    def begin(self, raw: str = STATE) -> str:
        """Let the server ask; return the state that the client gets."""
        told = self.send()
        asked = json.dumps({"q": ASKED})
        result = f'{{"resultType":"input_required","inputRequests":{asked},"requestState":{raw}}}'
        self.desk.backends["a"].answer(result.encode())
        found = told.message["result"]
        assert found["inputRequests"] == {"q": ASKED}
        state: str = found["requestState"]
        return state

    def sent(self) -> bytes:
        """Return the parameters of the newest call."""
        return self.desk.backends["a"].calls[-1].outgoing.params


def bring(state: str) -> dict[str, Any]:
    """Return what a retry adds."""
    return {"requestState": state, "inputResponses": {"q": ACCEPTED}}


def refused(told: Told) -> str:
    """Return why a request was refused."""
    assert (told.only.status, told.message["error"]["code"]) == (400, -32602)
    return str(told.message["error"]["message"])


@pytest.mark.parametrize("raw", [STATE, '""', '"o1m.x"', json.dumps("x" * 5000)])
@on_loop
async def test_a_server_gets_its_state_back_byte_for_byte(raw: str) -> None:
    """The client carries something else; an empty state is one, too."""
    call = Stateful()
    state = call.begin(raw)
    assert state.startswith(PREFIX)
    told = call.send(**bring(state))
    assert b'"requestState": %b' % raw.encode() in call.sent()
    assert json.loads(call.sent())["inputResponses"] == {"q": ACCEPTED}
    call.desk.backends["a"].answer(tool_result("done"))
    assert "content" in told.message["result"]


@on_loop
async def test_the_state_of_one_key_is_refused_for_another() -> None:
    """Its own client goes on with it, as often as the server allows."""
    call = Stateful()
    state = call.begin()
    assert "requestState is not valid" in refused(call.send(EVE, **bring(state)))
    assert len(call.desk.backends["a"].calls) == 1
    for count in (2, 3):
        call.send(**bring(state))
        assert len(call.desk.backends["a"].calls) == count


@on_loop
async def test_a_state_that_is_none_of_ours_reaches_no_server() -> None:
    """Altered, the server's own, or an empty one that nobody gave."""
    call = Stateful()
    state = call.begin()
    for other in (state + "A", state[:-1], "A" + state[1:], json.loads(STATE), "", PREFIX):
        assert "requestState is not valid" in refused(call.send(**bring(other)))
    assert len(call.desk.backends["a"].calls) == 1


@on_loop
async def test_a_state_hidden_behind_escapes_is_found() -> None:
    """The key may be written in any way that JSON allows."""
    call = Stateful()
    body = modern("tools/call", {"name": "a__x", "_meta": META, "requestState": "raw"})
    hidden = body.replace(b"requestState", rb"request\u0053tate")
    assert hidden != body
    request = Request(modern_headers("tools/call", "a__x"), hidden, "", principal=ANN)
    assert "requestState is not valid" in refused(call.desk.take(request))
    assert call.desk.backends["a"].calls == []


@on_loop
async def test_the_state_of_one_server_is_refused_for_another() -> None:
    """It is that one's."""
    call = Stateful("a", "b")
    state = call.begin()
    assert "requestState is not valid" in refused(call.send(tool="b__x", **bring(state)))
    assert call.desk.backends["b"].calls == []


@on_loop
async def test_a_state_is_of_no_use_when_its_server_speaks_the_older_era_now() -> None:
    """The call is not begun anew: its client believes that it goes on."""
    call = Stateful()
    state = call.begin()
    call.desk.edition.update(catalogue("a", tools="x", eras=frozenset({Era.LEGACY})))
    assert "has ended" in refused(call.send(**bring(state)))
    assert len(call.desk.backends["a"].calls) == 1


@on_loop
async def test_what_asks_for_input_without_a_state_stays_as_it_is() -> None:
    """There is nothing to seal."""
    call = Stateful()
    told = call.send()
    result = {"resultType": "input_required", "inputRequests": {"q": ASKED}}
    call.desk.backends["a"].answer(json.dumps(result).encode())
    assert told.message["result"] == result
