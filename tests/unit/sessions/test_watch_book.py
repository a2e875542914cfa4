"""What legacy sessions watch, and when they let go of it."""

import pytest

from only1mcp.protocol.client_features import Feature
from only1mcp.sessions import watch_book
from only1mcp.sessions.watch_book import WatchBook

NONE = Feature(0)
ONE, TWO, THREE = (("srv", f"r://{number}") for number in (1, 2, 3))


def test_each_session_has_its_page_while_it_watches_something() -> None:
    """Whatever is said twice, or taken back that never was."""
    subject = WatchBook()
    assert [subject.add(7, NONE, place) for place in (ONE, ONE, TWO)] == [True, False, True]
    assert subject.add(8, Feature.ELICIT_FORM, ONE)
    assert (subject.serials, len(subject), subject.has(7, TWO), subject.has(8, TWO)) == (
        [7, 8], 3, True, False,
    )  # fmt: skip
    subject.remove(7, THREE)
    subject.remove(9, ONE)
    subject.remove(7, ONE)
    subject.remove(7, TWO)
    assert (subject.serials, 7 in subject, dict(subject.pages).get(7)) == ([8], False, None)
    subject.drop(7)
    subject.drop(8)
    assert (subject.serials, len(subject)) == ([], 0)


def test_a_session_lets_go_when_its_client_was_not_there_for_long() -> None:
    """Each by its own time; who is not known is not noted."""
    subject = WatchBook()
    for serial in (7, 8):
        subject.add(serial, NONE, ONE)
        subject.saw(serial, 100.0)
    subject.saw(8, 200.0)
    subject.saw(9, 200.0)
    assert subject.to_let_go(150.0, 50.0) == []
    assert subject.to_let_go(200.0, 50.0) == [7]
    assert subject.to_let_go(260.0, 50.0) == [7, 8]


def test_the_first_sessions_let_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the rest is few enough; the last one stays."""
    monkeypatch.setattr(watch_book, "MAX_WATCHED", 2)
    subject = WatchBook()
    for serial, place in ((7, ONE), (7, TWO), (8, ONE), (8, TWO), (9, THREE)):
        subject.add(serial, NONE, place)
    assert subject.to_let_go(0.0, 50.0) == [7, 8]
    subject.drop(7)
    subject.drop(8)
    subject.add(9, NONE, ONE)
    subject.add(9, NONE, TWO)
    assert subject.to_let_go(0.0, 50.0) == []
