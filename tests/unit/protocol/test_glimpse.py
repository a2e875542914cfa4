"""Whom a message concerns of which only both ends are known."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.glimpse import Glimpse, glimpse

IDS = st.one_of(st.integers(), st.text(max_size=20))
TRAPS = ['","id":5}', '\\","id":7,"method":"x"}', '{"id":1,"jsonrpc":"2.0"}', "}" * 9, "\\"]
SEPARATORS = [(",", ":"), (", ", ": ")]


@given(IDS, st.sampled_from(TRAPS), st.sampled_from(SEPARATORS), st.randoms())
def test_the_id_is_found_wherever_it_stands(
    request_id: int | str, trap: str, separators: tuple[str, str], chance: random.Random
) -> None:
    """Before or behind what is large, and never in it."""
    result = {"content": [{"text": trap * 500, "id": 3}], "id": 9}
    members = [("jsonrpc", "2.0"), ("id", request_id), ("result", result)]
    chance.shuffle(members)
    whole = json.dumps(dict(members), separators=separators).encode()
    assert glimpse(whole[:300], whole[-300:]) == Glimpse(json.dumps(request_id).encode(), b"")


def test_a_question_is_told_from_an_answer() -> None:
    """By its method."""
    head = b'{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"xx'
    assert glimpse(head, b'xx"}}') == Glimpse(b'"q"', b'"elicitation/create"')


@pytest.mark.parametrize(
    ("head", "tail"),
    [(b"xxx", b"xxx"), (b"", b""), (b'{"result":{"id":1,', b'"id":1}}'), (b'["id":1', b',"id":1]'),
     (b'{"jsonrpc":"2.0","result":"', b'"id":1}')],
)  # fmt: skip
def test_what_cannot_be_told_is_not_guessed(head: bytes, tail: bytes) -> None:
    """Then nobody's call is failed."""
    assert glimpse(head, tail) == Glimpse(b"", b"")
