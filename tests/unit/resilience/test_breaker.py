"""The circuit breaker's states."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from only1mcp.registry.server import BreakerPolicy
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import Breaker, State

POLICY = BreakerPolicy(failures=3, successes=2, timeout_ms=1000)


def opened(at_ms: int = 5000) -> int:
    """Return a breaker that has just opened."""
    word = 0
    for _ in range(POLICY.failures):
        word = breaker.fail(word, 0, at_ms, POLICY)
    return word


def admitted(word: int, now_ms: int) -> tuple[int, int]:
    """Let a call through that has to be let through."""
    found = breaker.admit(word, now_ms, POLICY)
    assert found is not None
    return found


@given(
    st.builds(
        Breaker, st.sampled_from(State), st.integers(0, 1023), st.integers(0, 1023),
        st.integers(0, 2**42 - 1),
    )
)  # fmt: skip
def test_a_word_holds_all_there_is_to_know(whole: Breaker) -> None:
    """Nothing runs over into what stands beside it."""
    assert breaker.read(breaker.write(whole)) == whole
    assert breaker.write(whole) < 2**64


def test_failures_in_a_row_open_it() -> None:
    """One that goes well in between makes up for them all."""
    word = breaker.fail(breaker.fail(0, 0, 1, POLICY), 0, 2, POLICY)
    assert breaker.read(word).state is State.CLOSED
    assert breaker.succeed(word, 0, POLICY) == 0
    assert breaker.read(breaker.fail(word, 0, 3, POLICY)).state is State.OPEN


def test_an_open_one_lets_nothing_through_until_its_time_is_over() -> None:
    """Then exactly as many as must go well."""
    word = opened(5000)
    assert breaker.admit(word, 5999, POLICY) is None
    word, token = admitted(word, 6000)
    word, same = admitted(word, 6001)
    assert token == same != 0
    assert breaker.admit(word, 6002, POLICY) is None


def test_probes_that_go_well_close_it() -> None:
    """All of them."""
    word, token = admitted(opened(5000), 6000)
    word, _ = admitted(word, 6000)
    word = breaker.succeed(word, token, POLICY)
    assert breaker.read(word).state is State.HALF_OPEN
    assert breaker.succeed(word, token, POLICY) == 0


def test_one_probe_that_fails_opens_it_again() -> None:
    """For its whole time."""
    word, token = admitted(opened(5000), 6000)
    word = breaker.fail(word, token, 6500, POLICY)
    assert breaker.admit(word, 7499, POLICY) is None
    assert breaker.admit(word, 7500, POLICY) is not None


def test_calls_from_before_have_no_say() -> None:
    """They tell of another time."""
    word = opened(5000)
    assert breaker.fail(word, 0, 5500, POLICY) == word
    assert breaker.succeed(word, 0, POLICY) == word
    word, old = admitted(word, 6000)
    word = breaker.fail(word, old, 6100, POLICY)
    word, token = admitted(word, 7200)
    assert breaker.succeed(word, old, POLICY) == word
    assert breaker.fail(word, old, 7300, POLICY) == word
    assert breaker.abandon(word, old) == word
    assert breaker.read(breaker.fail(word, token, 7300, POLICY)).state is State.OPEN


def test_a_probe_whose_client_has_gone_gives_way_to_another() -> None:
    """Nothing is known by it."""
    word, token = admitted(opened(5000), 6000)
    word, _ = admitted(word, 6000)
    assert breaker.admit(word, 6001, POLICY) is None
    assert breaker.admit(breaker.abandon(word, token), 6001, POLICY) is not None


def test_probes_of_which_nothing_is_heard_give_way_to_others() -> None:
    """The worker that sent them may have died."""
    word, _ = admitted(opened(5000), 6000)
    word, _ = admitted(word, 6000)
    assert breaker.admit(word, 6999, POLICY) is None
    _, token = admitted(word, 7000)
    assert token == 7000


def test_what_is_found_well_is_tried_at_once() -> None:
    """Only an open one has anything to gain by it."""
    word = breaker.recover(opened(5000))
    assert breaker.admit(word, 5001, POLICY) is not None
    assert breaker.admit(word, 1, POLICY) is not None  # on a machine that has just started
    half, _ = admitted(word, 5001)
    assert breaker.recover(half) == half
    assert breaker.recover(0) == 0


@dataclass
class Sent:
    """A call that was let through."""

    token: int


class Shared(RuleBasedStateMachine):
    """Calls of any number of workers come and end in any order, while time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.word = 0
        self.now_ms = 1
        self.under_way: list[Sent] = []
        self.probes: dict[int, int] = {}
        self.returned: dict[int, int] = {}
        self.opened_ms = 0

    def _change(self, word: int) -> None:
        before, after = breaker.read(self.word), breaker.read(word)
        if after.state is State.OPEN and before.state is not State.OPEN:
            self.opened_ms = self.now_ms
        self.word = word

    @rule(step=st.integers(0, 700))
    def wait(self, step: int) -> None:
        """Let time pass."""
        self.now_ms += step

    @rule()
    def send(self) -> None:
        """Try to send a call."""
        before = breaker.read(self.word)
        found = breaker.admit(self.word, self.now_ms, POLICY)
        if found is None:
            assert before.state is not State.CLOSED
            return
        if before.state is State.OPEN:
            assert self.now_ms - self.opened_ms >= POLICY.timeout_ms
        self.word, token = found
        self.under_way.append(Sent(token))
        if token:
            self.probes[token] = self.probes.get(token, 0) + 1

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["well", "badly", "client gone", "unheard"]))
    def end(self, data: st.DataObject, how: str) -> None:
        """Let one of the calls end."""
        sent = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if how == "well":
            self._change(breaker.succeed(self.word, sent.token, POLICY))
        elif how == "badly":
            self._change(breaker.fail(self.word, sent.token, self.now_ms, POLICY))
        elif how == "client gone":
            if breaker.abandon(self.word, sent.token) != self.word:
                self.returned[sent.token] = self.returned.get(sent.token, 0) + 1
            self._change(breaker.abandon(self.word, sent.token))

    @invariant()
    def no_more_probes_than_configured(self) -> None:
        """In each time of being half open."""
        for token, count in self.probes.items():
            assert count - self.returned.get(token, 0) <= POLICY.successes

    @invariant()
    def is_written_soundly(self) -> None:
        """A closed breaker knows only failures, fewer than open it."""
        whole = breaker.read(self.word)
        if whole.state is State.CLOSED:
            assert whole.count < POLICY.failures
            assert (whole.probes, whole.since_ms) == (0, 0)
        elif whole.state is State.HALF_OPEN:
            assert whole.count < POLICY.successes
            assert whole.probes <= POLICY.successes


TestShared = Shared.TestCase
