"""Questions on the stream of a legacy session."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import BackendLost
from only1mcp.proxy import asks
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.stream_questions import StreamQuestions
from only1mcp.sessions.session import Session
from tests.support.loop import on_loop

SESSION = Session(7, 0, "2025-11-25", b'{"roots":{}}', b"")
TAKEN_BACK = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a/1"}}'


class Stream:
    """A stream whose client has roots, and for which the server `b` does not exist."""

    def __init__(self) -> None:
        self.asks = Asks("1.1")
        self.said: list[dict[str, Any]] = []
        self.answers: list[bytes] = []
        self.questions = StreamQuestions(
            SESSION, self.asks, lambda raw: self.said.append(json.loads(raw)), "a".__eq__
        )

    def ask(self, method: str = "roots/list", request_id: str = "a/1") -> None:
        """Let a server ask."""
        body = {"jsonrpc": "2.0", "id": request_id, "method": method}
        self.questions.on_request(scan(json.dumps(body).encode()), self.answers.append)

    def answer(self) -> None:
        """Answer what was asked last."""
        body = {"jsonrpc": "2.0", "id": self.said[-1]["id"], "result": {}}
        self.asks.deliver(7, scan(json.dumps(body).encode()))


@on_loop
async def test_a_question_is_put_on_the_stream_and_its_answer_handed_on() -> None:
    """Under an id of ours."""
    stream = Stream()
    stream.ask()
    assert [message["method"] for message in stream.said] == ["roots/list"]
    stream.answer()
    assert stream.answers == [b'"result":{}']
    stream.questions.close()
    assert len(stream.said) == 1


@pytest.mark.parametrize("asked", [
    {"method": "sampling/createMessage"}, {"method": "x"}, {"request_id": "b/1"},
])  # fmt: skip
@on_loop
async def test_what_a_client_cannot_be_asked_is_refused(asked: dict[str, str]) -> None:
    """For want of the feature, or of the server in its view."""
    stream = Stream()
    stream.ask(**asked)
    (answer,) = stream.answers
    assert json.loads(b"{%b}" % answer)["error"]["code"] == -32601
    assert stream.said == []


@on_loop
async def test_there_is_an_end_to_what_can_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hears of it."""
    monkeypatch.setattr(asks, "MAX_OPEN", 0)
    stream = Stream()
    stream.ask()
    assert (len(stream.answers), stream.said) == (1, [])


@pytest.mark.parametrize("how", ["taken back", "host gone", "stream ended"])
@on_loop
async def test_a_client_hears_that_it_need_not_answer(how: str) -> None:
    """Whoever has left: once, and what it answers all the same is for nobody."""
    stream = Stream()
    stream.ask()
    for _ in range(2):
        if how == "taken back":
            stream.questions.on_message(scan(TAKEN_BACK))
        elif how == "host gone":
            stream.questions.on_failure(BackendLost("gone"))
        else:
            stream.questions.close()
    asked, cancelled = stream.said
    assert cancelled["params"] == {"requestId": asked["id"]}
    assert len(stream.answers) == (how == "taken back")
