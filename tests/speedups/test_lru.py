"""The store of answers, both twins: the same answers, the same order, the same counts."""

from array import array
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp import _speedups
from only1mcp._speedups import lru_py

PURE = SimpleNamespace(Lru=lru_py.Lru, Entry=lru_py.Entry)
TWINS = [pytest.param(PURE, id="pure")]
if _speedups.COMPILED:
    TWINS.append(
        pytest.param(SimpleNamespace(Lru=_speedups.Lru, Entry=_speedups.Entry), id="compiled")
    )
SERVER, TARGET, OTHER = 1, 2, 3
HITS, _, _, ENTRIES, BYTES = range(5)
MUCH = 1_000_000


class Store:
    """One store with all that it touches."""

    def __init__(self, twin: Any, max_bytes: int = MUCH) -> None:
        self.twin = twin
        self.epochs = memoryview(array("Q", bytes(8 * 8)))
        self.row = memoryview(array("Q", bytes(8 * 10)))
        self.lru = twin.Lru(max_bytes, self.epochs, self.row)

    def entry(
        self, key: bytes, value: bytes = b"{}", expires: float = 10.0, target: int = TARGET,
        shelf: int = 0, split: int = -1,
    ) -> Any:  # fmt: skip
        """Make an answer to a call that is sent now."""
        stamp = self.lru.stamp(SERVER, target)
        return self.twin.Entry(key, value, split, expires, (SERVER, target), stamp, shelf)

    def put(self, key: bytes, value: bytes = b"{}", expires: float = 10.0, **more: Any) -> bool:
        """Keep an answer."""
        kept: bool = self.lru.put(self.entry(key, value, expires, **more))
        return kept

    def has(self, key: bytes, now: float = 1.0) -> bool:
        """Look an answer up."""
        return self.lru.get(key, now) is not None


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Any:
    """Return one of the twins."""
    return request.param


def test_what_was_put_is_found_until_its_time_is_over(twin: Any) -> None:
    """At the moment itself it is over."""
    store = Store(twin)
    assert store.put(b"k", b"value")
    assert store.lru.get(b"k", 9.99).value == b"value"
    assert not store.has(b"k", 10.0)
    assert (len(store.lru), store.lru.size, store.row.tolist()) == (0, 0, [0] * 10)


@pytest.mark.parametrize("word", [0, SERVER, TARGET])
def test_what_has_changed_is_not_found(twin: Any, word: int) -> None:
    """Nor kept, if it was under way; words of others do not matter."""
    store = Store(twin)
    late = store.entry(b"late")
    store.put(b"k")
    store.epochs[OTHER] += 1
    assert store.has(b"k")
    store.epochs[word] += 1
    assert not store.has(b"k")
    assert not store.lru.put(late)
    assert len(store.lru) == 0


def test_an_answer_that_comes_too_late_leaves_a_good_one_where_it_is(twin: Any) -> None:
    """Its call was sent before something changed, that of the other one after."""
    store = Store(twin)
    late = store.entry(b"k", b"before")
    store.epochs[SERVER] += 1
    assert store.put(b"k", b"after")
    assert not store.lru.put(late)
    assert store.lru.get(b"k", 1.0).value == b"after"


def test_who_was_used_longest_ago_goes_first(twin: Any) -> None:
    """To be looked up is to be used."""
    size = Store(twin).entry(b"a").size
    store = Store(twin, 10 * size)
    for key in b"abcdefghij":
        store.put(bytes([key]))
    assert store.has(b"a")
    store.put(b"k")
    store.put(b"l")
    assert [key for key in b"abcdefghijkl" if store.has(bytes([key]))] == list(b"adefghijkl")
    assert store.lru.size == 10 * size


def test_an_answer_takes_the_place_of_the_one_before(twin: Any) -> None:
    """It is counted once."""
    store = Store(twin)
    store.put(b"k", b"1")
    store.put(b"k", b"22")
    assert store.lru.get(b"k", 1.0).value == b"22"
    assert (len(store.lru), store.row[ENTRIES], store.row[BYTES]) == (1, 1, store.lru.size)


def test_what_is_too_large_is_not_kept(twin: Any) -> None:
    """One answer does not drive out all others; nor is an older one kept in its place."""
    store = Store(twin, 8000)
    assert store.put(b"k")
    assert not store.put(b"k", b"x" * 1000)
    assert not store.has(b"k")


def test_answers_are_counted_on_their_servers_shelves(twin: Any) -> None:
    """Entries, bytes and hits."""
    store = Store(twin)
    store.put(b"a")
    store.put(b"b", shelf=5)
    store.lru.hit(store.lru.get(b"b", 1.0))
    assert (store.row[HITS], store.row[5 + HITS]) == (0, 1)
    assert (store.row[ENTRIES], store.row[5 + ENTRIES]) == (1, 1)
    store.lru.clear()
    assert store.row.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(("words", "shelf"), [((8, 1), 0), ((1, 8), 0), ((1, 1), 6), ((1, 1), -1)])
def test_a_place_that_there_is_not_is_refused(
    twin: Any, words: tuple[int, int], shelf: int
) -> None:
    """The compiled twin checks no index later."""
    store = Store(twin)
    with pytest.raises(IndexError):
        store.lru.put(twin.Entry(b"k", b"", -1, 10.0, words, 0, shelf))


def test_a_result_says_how_long_it_is_still_good(twin: Any) -> None:
    """In whole milliseconds; one without such a place stays as it is."""
    store = Store(twin)
    assert store.entry(b"k", b'{"ttlMs":}', split=9).text(7.5) == b'{"ttlMs":2500}'
    assert store.entry(b"k", b"{}").text(7.5) == b"{}"


def test_a_sweep_takes_what_is_not_good_and_a_shrink_what_is_too_much(twin: Any) -> None:
    """All else stays, in its order."""
    store = Store(twin)
    store.put(b"old", expires=1.0)
    store.put(b"changed", target=OTHER)
    store.put(b"a")
    store.put(b"b")
    store.epochs[OTHER] += 1
    store.lru.sweep(2.0)
    assert (len(store.lru), store.row[ENTRIES]) == (2, 2)
    store.lru.shrink(store.lru.size - 1)
    assert (store.has(b"a"), store.has(b"b")) == (False, True)
    store.lru.shrink(0)
    assert (len(store.lru), store.lru.size) == (0, 0)


def test_many_answers_come_and_go_without_a_trace(twin: Any) -> None:
    """The chain between them is not what keeps them."""
    store = Store(twin, 100_000)
    for number in range(20_000):
        store.put(b"%d" % number)
    assert store.lru.size <= 100_000
    store.lru.clear()
    assert (len(store.lru), store.row.tolist()) == (0, [0] * 10)


_KEYS = st.integers(0, 5).map(lambda number: b"key-%d" % number)
_STEPS = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.binary(max_size=600), st.integers(1, 9)),
    st.tuples(st.just("get"), _KEYS),
    st.tuples(st.just("change"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("shrink"), st.integers(0, 9000)),
)


def played(twin: Any, steps: list[Any]) -> list[Any]:
    """Return what all steps said, and what there was after each."""
    store, now, said = Store(twin, 6000), 0.0, list[Any]()
    for what, *how in steps:
        answer: Any = None
        if what == "put":
            key, value, seconds = how
            answer = store.put(key, value, now + seconds, target=2 + len(value) % 2)
        elif what == "get":
            found = store.lru.get(how[0], now)
            answer = found and (found.value, found.expires)
        elif what == "change":
            store.epochs[how[0]] += 1
        elif what == "wait":
            now += how[0]
        elif what == "sweep":
            store.lru.sweep(now)
        else:
            store.lru.shrink(how[0])
        said.append((what, answer, len(store.lru), store.lru.size, store.row.tolist()))
        assert store.lru.size <= store.lru.max_bytes
    return said


@pytest.mark.skipif(not _speedups.COMPILED, reason="there is only one twin")
@settings(max_examples=300, deadline=None)
@given(st.lists(_STEPS, max_size=60))
def test_the_twins_do_the_same(steps: list[Any]) -> None:
    """Whatever is put, looked up, changed and swept, in whatever order."""
    compiled = SimpleNamespace(Lru=_speedups.Lru, Entry=_speedups.Entry)
    assert played(PURE, steps) == played(compiled, steps)
