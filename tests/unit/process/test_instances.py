"""What a person is told of the instances of a server, and of their breakers."""

from typing import Any

import pytest

from only1mcp.memory.instances import Known, loose
from only1mcp.observability.instance_metrics import NamedInstance
from only1mcp.process.instances import breakers_of, describe
from only1mcp.resilience.breaker import Breaker, State, write

OPEN, HALF = {"breaker": "open", "tried_again_in_s": 22.4}, {"breaker": "half_open"}
CLOSED = {"breaker": "closed"}


def known(breaker: Breaker) -> Known:
    """Return what is known of an instance whose breaker is like this."""
    found = loose()
    assert found.words.swap(found.at, 0, write(breaker)) or not write(breaker)
    return found


def told(breaker: Breaker, **more: Any) -> dict[str, Any]:
    """Return what is told of an instance, 7 s after its breaker has turned."""
    one = NamedInstance("s", "http://h/mcp", known(breaker), 1, 30_000)
    return describe(one, more.get("turn"), more.get("down", ""), 1_007_000)


@pytest.mark.parametrize(
    ("breaker", "state", "left_s"),
    [(Breaker(), "closed", None), (Breaker(State.HALF_OPEN, since_ms=1_000_000), "half_open", None),
     (Breaker(State.OPEN, since_ms=1_000_000), "open", 23.0),
     (Breaker(State.OPEN, since_ms=900_000), "open", 0.0), (Breaker(State.OPEN), "open", 0.0)],
)  # fmt: skip
def test_it_is_told_when_an_instance_with_an_open_breaker_is_tried_again(
    breaker: Breaker, state: str, left_s: float | None
) -> None:
    """Never earlier than now."""
    described = told(breaker)
    assert (described["breaker"], described.get("tried_again_in_s")) == (state, left_s)


def test_why_an_instance_is_down_says_more_than_why_its_breaker_is_open() -> None:
    """Of a closed breaker there is no reason to tell."""
    turn = {"state": "open", "why": "it broke"}
    opened = Breaker(State.OPEN, since_ms=1)
    assert told(opened, turn=turn)["why"] == "it broke"
    assert told(opened, turn=turn, down="it is gone")["why"] == "it is gone"
    assert "why" not in told(Breaker(), turn=turn)
    assert "why" not in told(opened)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ([], ""),
        ([CLOSED], ""),
        ([CLOSED, CLOSED], ""),
        ([OPEN], "breaker open; tried again in 22 s"),
        ([{**OPEN, "why": "server s answered with HTTP status 500"}],
         "breaker open: answered with HTTP status 500; tried again in 22 s"),
        ([{**OPEN, "why": "x" * 500}], f"breaker open: {'x' * 80}; tried again in 22 s"),
        ([{**OPEN, "why": "it broke", "tried_again_in_s": 0.0}],
         "breaker open: it broke; tried again with the next call"),
        ([{**OPEN, "why": "last"}, {**OPEN, "why": "first", "tried_again_in_s": 3.0}],
         "breaker open: first; tried again in 3 s"),
        ([HALF], "breaker half open: some calls try whether it answers again"),
        ([HALF, OPEN], "breaker half open: some calls try whether it answers again"),
        ([CLOSED, OPEN, CLOSED], "breaker open at 1 of 3 instances"),
        ([OPEN, OPEN, CLOSED], "breaker open at 2 of 3 instances"),
        ([HALF, CLOSED], "breaker half open at 1 of 2 instances"),
        ([OPEN, HALF, CLOSED], "breaker open at 1, half open at 1 of 3 instances"),
    ],
)  # fmt: skip
def test_a_server_s_line_says_how_breakers_keep_calls_from_it(
    described: list[dict[str, Any]], words: str
) -> None:
    """Why and until when, where no instance takes calls; else at how many of them."""
    assert breakers_of("s", described, gives_why=True) == words


def test_the_reason_is_left_to_who_has_given_one() -> None:
    """When the host has said why the server is down, its calls fail for the same reason."""
    words = breakers_of("s", [{**OPEN, "why": "it is gone"}], gives_why=False)
    assert words == "breaker open; tried again in 22 s"
