"""Questions that outlive the call that they travel on."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.backends import open_questions
from only1mcp.backends.open_questions import OpenQuestions
from only1mcp.protocol.task_members import RELATED
from tests.support.loop import eventually, on_loop
from tests.support.pipe_peer import asked
from tests.support.sink import Sink

YES = b'"result":{}'


class Client:
    """The calls of one client, and what the server is answered."""

    def __init__(self) -> None:
        self.calls: list[Sink] = []
        self.results: list[Sink] = []
        """Those that wait for the result of the task `t1`."""
        self.answers: dict[Any, list[bytes]] = {}
        self.questions = OpenQuestions(self._find)

    def _find(self, task: str | None) -> Iterable[Sink]:
        return reversed(self.calls if task is None else self.results)

    def call(self) -> Sink:
        """Begin a call."""
        self.calls.append(Sink())
        self.questions.began()
        return self.calls[-1]

    def end(self, call: Sink) -> None:
        """End it."""
        self.calls.remove(call)
        self.questions.ended(call)

    def ask(
        self, number: int, *, call: Sink | None = None, method: str = "x", **params: Any
    ) -> None:
        """Let the server ask."""
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        said = self.answers.setdefault(number, [])
        self.questions.put(scan(json.dumps(body).encode()), said.append, call)

    def code(self, number: int) -> int:
        """Return the code of the error that a question was answered with, and by that alone."""
        (member,) = self.answers[number]
        return int(json.loads(b"{%b}" % member)["error"]["code"])


def test_a_question_goes_on_with_another_call_when_its_own_ends() -> None:
    """Only the answer of who was asked last counts, and only once."""
    client = Client()
    first, second = client.call(), client.call()
    client.ask(1)
    assert asked(first, second) == [[], [b"1"]]
    client.end(second)
    assert asked(first) == [[b"1"]]
    for call in (second, first, first):
        call.questions[0][1](YES)
        assert client.answers[1] == ([] if call is second else [YES])


def test_a_question_that_no_call_can_carry_any_more_is_refused_at_once() -> None:
    """The server waits for nothing."""
    client = Client()
    call = client.call()
    client.ask(1)
    client.end(call)
    assert client.code(1) == 32006
    call.questions[0][1](YES)
    assert client.code(1) == 32006


def test_questions_are_spread_over_the_calls() -> None:
    """So that few must be asked again when one ends; the newest is asked first."""
    client = Client()
    calls = [client.call() for _ in range(3)]
    for number in range(4):
        client.ask(number)
    assert asked(*calls) == [[b"2"], [b"1"], [b"0", b"3"]]
    client.end(calls[2])
    assert sorted(map(len, asked(*calls[:2]))) == [2, 2]


def test_every_question_is_answered_however_many_there_are() -> None:
    """Each call ends with the answer to a question that another one may carry."""
    client = Client()
    calls = [client.call() for _ in range(50)]
    for number in range(50):
        client.ask(number)
    for call in calls:
        for _, respond in call.questions:
            respond(YES)
        client.end(call)
    assert all(said == [YES] for said in client.answers.values())


def test_what_came_with_a_call_is_asked_with_no_other() -> None:
    """It ends with it."""
    client = Client()
    first, second = client.call(), client.call()
    client.ask(1, call=first)
    client.end(first)
    assert asked(first, second) == [[b"1"], []]
    assert client.code(1) == 32006


@on_loop
async def test_a_few_questions_wait_for_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all calls are one client's; not for ever."""
    monkeypatch.setattr(open_questions, "MAX_EARLY", 2)
    client = Client()
    for number in range(3):
        client.ask(number)
    assert client.code(2) == -32601
    assert asked(client.call()) == [[b"0", b"1"]]
    client.end(client.calls[0])
    client.questions.keeps = False
    client.ask(3)
    assert client.code(3) == -32601
    client.questions.keeps = True
    monkeypatch.setattr(open_questions, "PATIENCE_S", 0.0)
    client.ask(4)
    await eventually(lambda: client.answers[4], "the refusal")
    assert client.code(4) == 32006


@on_loop
async def test_the_question_of_a_task_waits_for_its_result_again() -> None:
    """When the call for the result is broken off and comes again; other calls do not carry it."""
    client = Client()
    other, result = client.call(), Sink()
    client.results.append(result)
    client.ask(1, _meta={RELATED: {"taskId": "t1"}})
    client.results.clear()
    client.questions.ended(result)
    assert (asked(other, result), client.answers[1]) == ([[], [b"1"]], [])
    again = Sink()
    client.results.append(again)
    client.questions.began()
    assert asked(other, again) == [[], [b"1"]]


def test_who_was_asked_hears_that_the_question_is_taken_back() -> None:
    """Nobody else does, and nobody is asked again."""
    client = Client()
    first, second = client.call(), client.call()
    client.ask(1)
    client.questions.take_back(
        scan(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
    )
    assert (first.methods, second.methods) == ([], ["notifications/cancelled"])
    client.end(second)
    assert (asked(first), client.answers[1]) == ([[]], [])


def test_a_ping_needs_no_client() -> None:
    """It is answered at once."""
    client = Client()
    client.ask(1, method="ping")
    assert client.answers[1] == [YES]


def test_open_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot make the host grow without end."""
    monkeypatch.setattr(open_questions, "MAX_OPEN", 1)
    client = Client()
    call = client.call()
    client.ask(1)
    client.ask(2)
    assert (asked(call), client.code(2)) == ([[b"1"]], -32601)


@on_loop
async def test_of_a_server_that_is_gone_nothing_is_left() -> None:
    """Nobody is asked for it any more, and answers go nowhere."""
    client = Client()
    client.ask(1)
    client.questions.clear()
    call = client.call()
    client.ask(2)
    client.questions.clear()
    call.questions[0][1](YES)
    client.end(call)
    assert (asked(call), client.answers) == ([[b"2"]], {1: [], 2: []})


@on_loop
async def test_what_is_asked_between_calls_goes_to_the_stream_and_waits_for_one() -> None:
    """A stream that ends leaves it to the next one; calls do not take it from there."""
    client, first, second = Client(), Sink(), Sink()
    client.ask(1)
    client.questions.follow(first)
    client.ask(2)
    call = client.call()
    assert asked(first, call) == [[b"1", b"2"], []]
    client.end(call)
    client.questions.follow(None)
    client.questions.follow(second)
    assert asked(second) == [[b"1", b"2"]]
    for stream in (first, second):
        stream.questions[0][1](YES)
    assert client.answers == {1: [YES], 2: []}


@on_loop
async def test_what_is_about_no_call_outlasts_the_call_that_carried_it() -> None:
    """It waits for the next one, however the call ended."""
    client = Client()
    client.ask(1)
    client.end(client.call())
    assert (asked(client.call()), client.answers[1]) == ([[b"1"]], [])


def test_what_a_server_did_not_wait_for_goes_to_the_stream() -> None:
    """Unless another call may be what it is about; what a cancelled call leaves is refused."""
    client, stream = Client(), Sink()
    client.questions.follow(stream)
    first, second, third = client.call(), client.call(), client.call()
    client.ask(1)
    client.calls.remove(third)
    client.questions.ended(third, replied=True)
    assert asked(second, stream) == [[b"1"], []]
    client.calls.clear()
    client.questions.ended(second, replied=True)
    assert asked(first, stream) == [[], [b"1"]]
    last = client.call()
    client.ask(2)
    client.end(last)
    assert (asked(stream), client.code(2)) == ([[b"1"]], 32006)
