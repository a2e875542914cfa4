"""The open questions to legacy clients."""

import json
from typing import Any

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.errors import InvalidRequest, Overloaded
from only1mcp.proxy import asks
from only1mcp.proxy.asks import Asks, owner
from tests.support.loop import eventually, on_loop


class Client:
    """A client that is asked, and what becomes of its answers."""

    def __init__(self, address: str = "2.1") -> None:
        self.asks = Asks(address)
        self.heard: list[Any] = []
        self.answers: list[bytes] = []

    def ask(self, serial: int = 7, params: bytes = b'{"n":1.0}') -> bytes:
        """Ask it; return the id of the question."""
        return self.asks.ask(
            serial, "roots/list", params, lambda raw: self.heard.append(json.loads(raw)),
            self.answers.append,
        )  # fmt: skip


def answered(ask_id: bytes, member: bytes = b'"result":{"n":1.0}') -> Envelope:
    """Return a client's answer."""
    return scan(b'{"jsonrpc":"2.0","id":%b,%b}' % (ask_id, member))


@on_loop
async def test_a_question_is_a_request_under_an_id_of_ours() -> None:
    """No two are the same, and each names the worker that waits."""
    client = Client()
    ids = [client.ask() for _ in range(50)]
    assert len(set(ids)) == 50
    assert [json.dumps(message["id"]).encode() for message in client.heard] == ids
    assert {owner(ask_id) for ask_id in ids} == {"2.1"}
    assert client.heard[0]["params"] == {"n": 1.0}
    client.ask(params=b"")
    assert "params" not in client.heard[-1]


@pytest.mark.parametrize("member", [b'"result":{ "n":1.0 }', b'"error":{"code":1e2,"message":""}'])
@on_loop
async def test_an_answer_is_handed_on_byte_for_byte(member: bytes) -> None:
    """Be it a result or an error."""
    client = Client()
    client.asks.deliver(7, answered(client.ask(), member))
    assert client.answers == [member]


@on_loop
async def test_an_answer_counts_once_in_its_own_session() -> None:
    """Neither a stranger nor a second one is heard."""
    client = Client()
    ask_id = client.ask(serial=7)
    with pytest.raises(InvalidRequest):
        client.asks.deliver(8, answered(ask_id))
    client.asks.deliver(7, answered(ask_id))
    with pytest.raises(InvalidRequest):
        client.asks.deliver(7, answered(ask_id))
    assert len(client.answers) == 1


@on_loop
async def test_a_question_that_is_withdrawn_is_taken_back_once() -> None:
    """An answer that is on its way is ignored, one more is refused; nobody answers for it."""
    client = Client()
    ask_id = client.ask()
    client.asks.withdraw(ask_id)
    client.asks.withdraw(ask_id)
    assert [message["method"] for message in client.heard] == [
        "roots/list", "notifications/cancelled",
    ]  # fmt: skip
    assert json.dumps(client.heard[1]["params"]["requestId"]).encode() == ask_id
    with pytest.raises(InvalidRequest):
        client.asks.deliver(8, answered(ask_id))
    client.asks.deliver(7, answered(ask_id))
    with pytest.raises(InvalidRequest):
        client.asks.deliver(7, answered(ask_id))
    assert client.answers == []


@on_loop
async def test_of_too_many_withdrawn_questions_the_first_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their answers are refused as if nobody had asked."""
    monkeypatch.setattr(asks, "MAX_WITHDRAWN", 1)
    client = Client()
    first, second = client.ask(), client.ask()
    client.asks.withdraw(first)
    client.asks.withdraw(second)
    client.asks.deliver(7, answered(second))
    with pytest.raises(InvalidRequest):
        client.asks.deliver(7, answered(first))


@on_loop
async def test_a_question_is_not_open_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that nobody answered in time are answered for."""
    monkeypatch.setattr(asks, "PATIENCE_S", 0.01)
    client, other = Client(), Client()
    client.asks.deliver(7, answered(client.ask()))
    client.asks.withdraw(client.ask())
    other.ask()
    await eventually(lambda: other.answers, "the end of the wait")
    assert b"the client did not answer" in other.answers[0]
    assert len(client.answers) == 1


@on_loop
async def test_open_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is not sent; every end makes room."""
    monkeypatch.setattr(asks, "MAX_OPEN", 2)
    client = Client()
    first, second = client.ask(), client.ask()
    with pytest.raises(Overloaded):
        client.ask()
    assert len(client.heard) == 2
    client.asks.deliver(7, answered(first))
    client.ask()
    client.asks.withdraw(second)
    client.ask()


@pytest.mark.parametrize(
    "answer_id",
    [None, b"", b"1", b"null", b'""', b'"o1"', b'"o1-"', b'"o1-x"', b'"o1--x"', b'"o2-1.0-x"',
     b'"x-1.0-y"', b'"O1-1.0-x"'],
)  # fmt: skip
def test_an_id_that_is_none_of_ours_has_no_owner(answer_id: bytes | None) -> None:
    """So it is refused on the spot."""
    assert owner(answer_id) is None


def test_an_id_is_read_however_it_is_spelled() -> None:
    """JSON knows more than one spelling of a string."""
    assert owner(b'"\\u006f1-1.0-x"') == "1.0"
