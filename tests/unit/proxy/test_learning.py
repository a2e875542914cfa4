"""What requests wait for, until the host has found it out."""

import pytest

from only1mcp.protocol.client_features import Feature
from only1mcp.proxy import learning
from only1mcp.proxy.learning import LEGACY, Learning
from tests.support.asking import META
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy

ALL = Feature.ELICIT_FORM | Feature.ELICIT_URL | Feature.ROOTS | Feature.SAMPLING


class Subject:
    """A learning with what it asks, and how often it says that something was learned."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told = 0
        self.learning = Learning(self.asked.append, self._tell)

    def _tell(self) -> None:
        self.told += 1


@on_loop
async def test_a_topic_is_asked_for_once_and_known_once() -> None:
    """However many need it, and however many workers taught it."""
    subject = Subject()
    assert [subject.learning.knows("x") for _ in range(3)] == [False] * 3
    subject.learning.learned("x")
    subject.learning.learned("x")
    assert subject.learning.knows("x")
    assert (subject.asked, subject.told) == (["x"], 1)


@on_loop
async def test_an_answer_at_once_is_an_answer() -> None:
    """Nobody begins to wait for what is known already."""
    known: list[Learning] = []

    def teach(topic: str) -> None:
        known[0].learned(topic)

    known.append(Learning(teach, lambda: None))
    assert known[0].knows("x")


@on_loop
async def test_a_host_that_says_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known is good enough then."""
    monkeypatch.setattr(learning, "PATIENCE_S", 0.01)
    subject = Subject()
    assert not subject.learning.knows("x")
    await eventually(lambda: subject.told, "the end of the wait")
    assert subject.learning.knows("x")


@on_loop
async def test_a_new_host_is_asked_what_the_one_before_was_asked() -> None:
    """It has to go on finding out."""
    subject = Subject()
    subject.learning.knows("x")
    subject.learning.knows("y")
    subject.learning.learned("x")
    subject.asked.clear()
    subject.learning.ask_again()
    assert sorted(subject.asked) == ["x", "y"]


@on_loop
async def test_legacy_clients_wait_until_it_is_known_who_speaks_to_them() -> None:
    """Modern ones do not; a ping needs nobody."""
    desk = Desk(catalogue("a", tools="x"), learned=False)
    waiting = [
        desk.send(legacy("initialize", {"protocolVersion": "2025-11-25"})),
        desk.legacy("tools/list"),
    ]
    assert desk.legacy("ping").only.status == 200
    assert desk.modern("tools/list").only.status == 200
    assert [told.answers for told in waiting] == [[], []]
    assert desk.topics == [LEGACY]
    desk.learning.learned(LEGACY)
    assert [told.only.status for told in waiting] == [200, 200]


@on_loop
async def test_clients_that_can_be_asked_wait_until_it_is_known_what_they_are_offered() -> None:
    """What they see then is their own; who leaves meanwhile is forgotten."""
    desk = Desk(catalogue("a", tools="x"), learned=False)
    told, gone = (desk.modern("tools/list", {"_meta": META}) for _ in range(2))
    gone.cancel()
    assert told.answers == []
    topic = str(int(ALL))
    assert desk.topics == [topic]
    desk.edition.update_variant(ALL, catalogue("a", tools="x ask"))
    desk.learning.learned("8")
    assert told.answers == []
    desk.learning.learned(topic)
    names = [tool["name"] for tool in told.message["result"]["tools"]]
    assert names == ["a__x", "a__ask"]
    assert gone.answers == []
    assert len(desk.modern("tools/list").message["result"]["tools"]) == 1
