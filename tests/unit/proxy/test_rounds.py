"""A modern server wants input of a legacy client, which is asked by requests."""

import json
from typing import Any

import pytest

from only1mcp.protocol.versions import Era
from only1mcp.proxy import asks, rounds
from tests.support.asking import ACCEPTED, CAPABILITIES, FORM, answer
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.told import Told

ALL = json.dumps(CAPABILITIES).encode()
ELICIT = {"method": "elicitation/create", "params": FORM}
ROOTS = {"method": "roots/list"}
SAMPLE = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}


def wants(requests: dict[str, Any] | None = None, state: str | None = None) -> bytes:
    """Return a result that asks for input."""
    result: dict[str, Any] = {"resultType": "input_required"}
    if requests is not None:
        result["inputRequests"] = requests
    if state is not None:
        result["requestState"] = state
    return json.dumps(result).encode()


class Round:
    """A legacy client's call of a modern server."""

    def __init__(
        self, capabilities: bytes = ALL, version: str = "2025-11-25",
        method: str = "tools/call", timeout_s: float = 60.0,
    ) -> None:  # fmt: skip
        offer = catalogue("a", tools="x", prompts="x", eras=frozenset({Era.MODERN}))
        self.desk = Desk(offer, timeout_s=timeout_s)
        self.backend = self.desk.backends["a"]
        self.session = self.desk.session(capabilities, version=version)
        params = {"name": "a__x", "arguments": {"n": 1}, "_meta": {"progressToken": 5}}
        self.told = self.desk.legacy(method, params, self.session)

    def reply(self, member: dict[str, Any], number: int = -1) -> Told:
        """Answer the question of this number, the last one if not told otherwise."""
        return self.desk.post(self.session, answer(self.told.messages[number], member))

    def sent(self, number: int = -1) -> dict[str, Any]:
        """Return the parameters of the call of this number."""
        found: dict[str, Any] = json.loads(self.backend.calls[number].outgoing.params)
        return found

    @property
    def fault(self) -> str:
        """What a tool's user reads of its fault."""
        result = self.told.message["result"]
        assert result["isError"] is True
        return str(result["content"][0]["text"])


@on_loop
async def test_the_client_is_asked_and_the_call_sent_again_with_its_answers() -> None:
    """The same call, with the server's own keys and state."""
    subject = Round()
    first = subject.sent()
    subject.backend.answer(wants({"k é": ELICIT}, 'st"ate'))
    (question,) = subject.told.messages
    assert (question["method"], question["params"]) == ("elicitation/create", FORM)
    assert subject.reply({"result": ACCEPTED}).only.status == 202
    again = subject.sent()
    assert again.pop("inputResponses") == {"k é": ACCEPTED}
    assert again.pop("requestState") == 'st"ate'
    assert again == first
    assert len(subject.backend.calls) == 2
    subject.backend.answer(b'{"resultType":"complete","content":[]}')
    assert subject.told.message["result"] == {"content": []}


@on_loop
async def test_all_that_is_wanted_is_asked_for_at_once() -> None:
    """And the call sent again when the last answer has come."""
    subject = Round()
    subject.backend.answer(wants({"a": ELICIT, "b": ROOTS, "c": SAMPLE}))
    assert subject.told.methods == [
        "elicitation/create", "roots/list", "sampling/createMessage",
    ]  # fmt: skip
    subject.reply({"result": {"role": "user"}}, 2)
    subject.reply({"result": ACCEPTED}, 0)
    assert len(subject.backend.calls) == 1
    subject.reply({"result": {"roots": []}}, 1)
    sent = subject.sent()
    assert sent["inputResponses"] == {"a": ACCEPTED, "b": {"roots": []}, "c": {"role": "user"}}
    assert "requestState" not in sent


@on_loop
async def test_each_round_has_its_own_answers_and_its_own_state() -> None:
    """Nothing of an earlier one is repeated."""
    subject = Round()
    subject.backend.answer(wants({"a": ELICIT}, "one"))
    subject.reply({"result": ACCEPTED})
    subject.backend.answer(wants({"b": ROOTS}, "two"))
    subject.reply({"result": {"roots": []}})
    assert subject.sent()["inputResponses"] == {"b": {"roots": []}}
    assert subject.sent()["requestState"] == "two"
    subject.backend.answer(wants({"c": ROOTS}))
    subject.reply({"result": {"roots": []}})
    assert "requestState" not in subject.sent()
    subject.backend.answer(tool_result("done"))
    assert "content" in subject.told.message["result"]


@on_loop
async def test_progress_goes_on_from_round_to_round() -> None:
    """The client knows of one call only."""
    subject = Round()
    subject.backend.notify("notifications/progress", {"progressToken": "ours-1", "progress": 1})
    subject.backend.answer(wants({"a": ROOTS}))
    subject.reply({"result": {"roots": []}})
    subject.backend.notify("notifications/progress", {"progressToken": "ours-1", "progress": 2})
    progress = [m for m in subject.told.messages if m["method"] == "notifications/progress"]
    assert [message["params"]["progressToken"] for message in progress] == [5, 5]


@on_loop
async def test_a_question_by_url_has_the_id_that_legacy_clients_expect() -> None:
    """2026-07-28 took it away; 2025-11-25 requires it."""
    subject = Round()
    url = {"mode": "url", "url": "https://x.example", "message": "m"}
    subject.backend.answer(wants({"a": {"method": "elicitation/create", "params": url}}))
    params = subject.told.messages[0]["params"]
    assert params.pop("elicitationId")
    assert params == url


@on_loop
async def test_a_server_that_only_wants_to_be_called_again_is_called_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a moment, and without the client's help."""
    monkeypatch.setattr(rounds, "PACE_S", 0.01)
    subject = Round()
    subject.backend.answer(wants(state="later"))
    assert len(subject.backend.calls) == 1
    await eventually(lambda: len(subject.backend.calls) == 2, "the second call")
    assert subject.sent()["requestState"] == "later"
    assert subject.told.messages == []


@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
@on_loop
async def test_rounds_are_bounded(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool's user reads why; of a prompt there is nothing but an error."""
    monkeypatch.setattr(rounds, "MAX_ROUNDS", 2)
    subject = Round(method=method)
    for _ in range(2):
        subject.backend.answer(wants({"a": ROOTS}))
        subject.reply({"result": {"roots": []}})
    subject.backend.answer(wants({"a": ROOTS}))
    assert len(subject.backend.calls) == 3
    if method == "tools/call":
        assert "asked for input more than 2 times" in subject.fault
    else:
        assert subject.told.message["error"]["code"] == 32005


@pytest.mark.parametrize(
    ("capabilities", "version", "request_", "words"),
    [
        (b"{}", "2025-11-25", ELICIT, "does not support elicitation/create"),
        (b'{"elicitation":{}}', "2025-11-25", SAMPLE, "does not support sampling/createMessage"),
        (ALL, "2025-03-26", ELICIT, "which the client's revision 2025-03-26 does not have"),
    ],
)  # fmt: skip
@on_loop
async def test_what_the_client_cannot_be_asked_is_a_fault_of_the_tool(
    capabilities: bytes, version: str, request_: dict[str, Any], words: str
) -> None:
    """It is not asked anything then, and the server not called again."""
    subject = Round(capabilities, version)
    subject.backend.answer(wants({"a": ROOTS, "b": request_} if capabilities == ALL else {
        "b": request_}))  # fmt: skip
    assert words in subject.fault
    asked = [message for message in subject.told.messages if message["method"] == "roots/list"]
    cancelled = [
        message["params"]["requestId"] for message in subject.told.messages
        if message["method"] == "notifications/cancelled"
    ]  # fmt: skip
    assert [message["id"] for message in asked] == cancelled
    assert len(subject.backend.calls) == 1


@on_loop
async def test_a_refused_form_is_a_form_that_was_cancelled() -> None:
    """The server may have an answer to that."""
    subject = Round()
    subject.backend.answer(wants({"a": ELICIT}))
    subject.reply({"error": {"code": -1, "message": "no"}})
    assert subject.sent()["inputResponses"] == {"a": {"action": "cancel"}}


@on_loop
async def test_another_refusal_ends_the_call() -> None:
    """What else was asked is taken back; the server is not called again."""
    subject = Round()
    subject.backend.answer(wants({"a": ELICIT, "b": SAMPLE}))
    first = subject.told.messages[0]
    subject.reply({"error": {"code": -1, "message": "no"}}, 1)
    assert subject.fault == "the client refused sampling/createMessage"
    assert subject.told.messages[-1]["params"]["requestId"] == first["id"]
    assert subject.reply({"result": ACCEPTED}, 0).only.status == 202
    assert len(subject.backend.calls) == 1


@on_loop
async def test_a_client_that_never_answers_has_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the server can see."""
    monkeypatch.setattr(asks, "PATIENCE_S", 0.01)
    subject = Round()
    subject.backend.answer(wants({"a": ELICIT}))
    await eventually(lambda: len(subject.backend.calls) == 2, "the second call")
    assert subject.sent()["inputResponses"] == {"a": {"action": "cancel"}}


@on_loop
async def test_a_client_that_cannot_be_asked_now_ends_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When too many questions are open; those of this round are taken back."""
    monkeypatch.setattr(asks, "MAX_OPEN", 1)
    subject = Round()
    subject.backend.answer(wants({"a": ROOTS, "b": ELICIT}))
    assert "too many questions" in subject.fault
    assert subject.told.methods == ["roots/list", "notifications/cancelled"]


@pytest.mark.parametrize(
    "result",
    [b'{"resultType":"input_required"}', b'{"resultType":"input_required","inputRequests":5}',
     b'{"resultType":"input_required","inputRequests":{"a":{"method":"tools/list"}}}',
     b'{"resultType":"input_required","requestState":5}'],
)  # fmt: skip
@on_loop
async def test_a_malformed_wish_is_a_fault_of_the_tool(result: bytes) -> None:
    """Nobody is asked."""
    subject = Round()
    subject.backend.answer(result)
    assert "malformed" in subject.fault
    assert subject.told.messages == []


@on_loop
async def test_the_server_s_time_stands_still_while_the_client_is_asked() -> None:
    """It begins anew with each call."""
    subject = Round(timeout_s=0.05)
    subject.backend.answer(wants({"a": ELICIT}))
    params = {"name": "a__x"}
    other = subject.desk.legacy("tools/call", params, subject.session, request_id=2)
    await eventually(lambda: other.answers, "the time to have passed")
    assert subject.told.answers == []
    subject.reply({"result": ACCEPTED})
    assert subject.told.answers == []
    await eventually(lambda: subject.told.answers, "the server's time to be over")
    assert subject.told.message["error"]["code"] == 32002


@on_loop
async def test_a_cancelled_call_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after a moment nor by an answer that comes too late."""
    monkeypatch.setattr(rounds, "PACE_S", 0.01)
    pacing, asking, other = Round(), Round(), Round()
    pacing.backend.answer(wants(state="later"))
    asking.backend.answer(wants({"a": ELICIT}))
    for subject in (pacing, asking):
        body = notification("notifications/cancelled", {"requestId": 1})
        subject.desk.post(subject.session, body)
        assert subject.told.message["error"]["code"] == -32800
    assert asking.reply({"result": ACCEPTED}, 0).only.status == 202
    other.backend.answer(wants(state="later"))
    await eventually(lambda: len(other.backend.calls) == 2, "the time to have passed")
    assert [len(subject.backend.calls) for subject in (pacing, asking)] == [1, 1]
    assert asking.told.methods == ["elicitation/create", "notifications/cancelled"]
