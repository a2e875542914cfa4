"""When an instance that gets no calls is tried again because a check went well."""

import pytest

from only1mcp.host import second_chance
from only1mcp.host.second_chance import FIRST_MS, SecondChance
from only1mcp.memory.instances import Known, loose
from only1mcp.registry.server import BreakerPolicy
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import Breaker, State
from tests.support.loop import on_loop


class Clock:
    """The time, as the test has it."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time."""
    clock = Clock()
    monkeypatch.setattr(second_chance, "now_ms", lambda: clock.now_ms)
    return clock


def set_open(known: Known, now_ms: int) -> None:
    """Open the breaker."""
    opened = breaker.write(Breaker(State.OPEN, since_ms=now_ms))
    assert known.words.swap(known.at, known.breaker, opened)


def is_tried(known: Known) -> bool:
    """Say whether the breaker would let a call through at once."""
    return breaker.read(known.breaker).since_ms == 0


def test_an_early_try_that_fails_makes_the_next_one_later(clock: Clock) -> None:
    """Until it is as late as without checks; one that went well starts anew."""
    known = loose()
    subject = SecondChance(known, lambda: BreakerPolicy(timeout_ms=5000))
    waits = []
    for _ in range(5):
        set_open(known, clock.now_ms)
        waited = 0
        while not is_tried(known):
            clock.now_ms += 100
            waited += 100
            subject.checked(is_good=True)
        waits.append(waited)
    assert waits == [FIRST_MS, 2000, 4000, 5000, 5000]
    known.words.swap(known.at, known.breaker, 0)
    subject.checked(is_good=True)
    set_open(known, clock.now_ms)
    clock.now_ms += FIRST_MS
    subject.checked(is_good=True)
    assert is_tried(known)


def test_a_check_that_fails_has_nothing_tried(clock: Clock) -> None:
    """It explains what went wrong: the first that goes well after it counts in full."""
    known = loose()
    subject = SecondChance(known, BreakerPolicy)
    for _ in range(2):
        set_open(known, clock.now_ms)
        clock.now_ms += 60_000
        subject.checked(is_good=False)
        assert not is_tried(known)
        clock.now_ms += 1
        subject.checked(is_good=True)
        assert is_tried(known)


def test_checks_count_for_nothing_where_that_is_not_wished(clock: Clock) -> None:
    """The breaker has its whole time."""
    known = loose()
    subject = SecondChance(known, lambda: BreakerPolicy(heeds_checks=False))
    set_open(known, clock.now_ms)
    clock.now_ms += 20_000
    subject.checked(is_good=True)
    assert not is_tried(known)
    subject.recover()
    assert is_tried(known)


@on_loop
async def test_the_next_check_comes_early_when_the_instance_is_to_be_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for the end of a long pause."""
    monkeypatch.setattr(second_chance, "LOOK_S", 0.005)
    monkeypatch.setattr(second_chance, "FIRST_MS", 1)
    known = loose()
    set_open(known, 1)
    await SecondChance(known, BreakerPolicy).rest(3600.0)
    assert not is_tried(known)
