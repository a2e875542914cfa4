"""Replies find their callers; no id is ever used twice."""

from hypothesis import given
from hypothesis import strategies as st

from only1mcp.backends.multiplexer import Multiplexer


def test_a_reply_finds_its_caller_once() -> None:
    """A second reply with the same id finds nobody."""
    calls: Multiplexer[str] = Multiplexer()
    first, second = calls.open("first"), calls.open("second")
    assert calls.take(second) == "second"
    assert calls.take(second) is None
    assert calls.take(first) == "first"
    assert len(calls) == 0


def test_ids_grow_and_are_never_used_again() -> None:
    """Not even after everything was answered or the channel was drained."""
    calls: Multiplexer[int] = Multiplexer()
    ids = []
    for number in range(100):
        ids.append(int(calls.open(number)))
        if number % 3 == 0:
            calls.take(b"%d" % ids[-1])
        if number % 10 == 0:
            calls.drain()
    assert ids == sorted(set(ids))


def test_ids_that_nobody_was_given_find_nobody() -> None:
    """Whatever a server sends."""
    calls: Multiplexer[int] = Multiplexer()
    calls.open(1)
    for stranger in (b"", b"0", b"2", b'"1"', b"1.0", b"01", b"-1", b"null"):
        assert calls.take(stranger) is None
    assert len(calls) == 1


@given(st.lists(st.sampled_from(["open", "take", "drain"])))
def test_every_caller_hears_exactly_once(steps: list[str]) -> None:
    """By its reply or by the end of the channel, in whatever order things happen."""
    calls: Multiplexer[int] = Multiplexer()
    waiting: dict[bytes, int] = {}
    heard: list[int] = []
    for number, step in enumerate(steps):
        if step == "open":
            waiting[calls.open(number)] = number
        elif step == "take" and waiting:
            request_id, expected = waiting.popitem()
            assert calls.take(request_id) == expected
            heard.append(expected)
        elif step == "drain":
            heard += calls.drain()
            waiting.clear()
        assert len(calls) == len(waiting)
    heard += calls.drain()
    assert sorted(heard) == [number for number, step in enumerate(steps) if step == "open"]


def test_who_waits_can_be_found() -> None:
    """The newest, the first who fits, and the only one who does."""
    calls: Multiplexer[str] = Multiplexer()
    assert (calls.find(bool), calls.only(bool)) == (None, None)
    assert list(calls) == list(calls.newest_first()) == []
    ids = [calls.open(name) for name in ("a", "b", "ab")]
    assert list(calls.newest_first()) == ["ab", "b", "a"]
    assert calls.find(lambda name: "b" in name) == "b"
    assert calls.only(lambda name: "b" in name) is None
    assert calls.only(lambda name: name == "b") == "b"
    calls.take(ids[2])
    assert list(calls) == ["a", "b"]


def test_going_through_all_who_wait_bears_their_leaving() -> None:
    """Telling one may end another."""
    calls: Multiplexer[int] = Multiplexer()
    for number in range(5):
        calls.open(number)
    seen = []
    for number in calls:
        seen.append(number)
        calls.drain()
    assert seen == [0, 1, 2, 3, 4]


def test_an_answer_that_nobody_waits_for_finds_nobody() -> None:
    """Its id is one of the row all the same."""
    calls: Multiplexer[int] = Multiplexer()
    first, unheard, last = calls.open(1), calls.unheard(), calls.open(2)
    assert [int(one) for one in (first, unheard, last)] == [1, 2, 3]
    assert calls.take(unheard) is None
    assert len(calls) == 2
