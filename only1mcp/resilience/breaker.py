"""A circuit breaker as one word of 64 bits, and what changes it. Pure: takes the time.

Closed, it counts failures in a row; at the threshold it opens, and lets nothing through. After a
while it is half open: it lets as many calls through as must go well for it to close. One that fails
opens it again; those of which nothing is heard give way to others after the same while.

All that it knows stands in the word, so that processes share a breaker by sharing the word, and
change it by compare-and-swap. A breaker that has nothing to tell is 0.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

_COUNT = 10
"""Bits of a count."""
_MOST = (1 << _COUNT) - 1
_TIME = 42
"""Bits of the time, in milliseconds: more than a century."""
_TIME_MASK = (1 << _TIME) - 1


class State(enum.IntEnum):
    """What a breaker does."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class Policy(Protocol):
    """When a breaker opens and closes; see `only1mcp.registry.server.BreakerPolicy`."""

    @property
    def failures(self) -> int:
        """So many in a row open it."""

    @property
    def successes(self) -> int:
        """So many close it, and so many are let through while it is half open."""

    @property
    def timeout_ms(self) -> int:
        """How long it is open before it lets some through."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A word taken apart."""

    state: State = State.CLOSED
    count: int = 0
    """Failures in a row when closed; successes when half open."""
    probes: int = 0
    """Calls let through when half open."""
    since_ms: int = 0
    """When it got into this state; 0 when closed."""


def read(word: int) -> Breaker:
    """Take a word apart."""
    return Breaker(
        State(word >> 62), word >> _TIME & _MOST, word >> (_TIME + _COUNT) & _MOST,
        word & _TIME_MASK,
    )  # fmt: skip


def write(breaker: Breaker) -> int:
    """Put a word together."""
    probes, count = min(breaker.probes, _MOST), min(breaker.count, _MOST)
    high = breaker.state << 62 | probes << (_TIME + _COUNT) | count << _TIME
    return high | (breaker.since_ms & _TIME_MASK)


def admit(word: int, now_ms: int, policy: Policy) -> tuple[int, int] | None:
    """Let a call through: return the new word, and what its end is to bring; None for no.

    What its end brings is 0 unless the call is a probe.
    """
    breaker = read(word)
    if breaker.state is State.CLOSED:
        return word, 0
    is_over = not breaker.since_ms or now_ms - breaker.since_ms >= policy.timeout_ms
    if breaker.state is State.HALF_OPEN and breaker.probes < policy.successes:
        following = Breaker(
            State.HALF_OPEN, breaker.count, breaker.probes + 1, breaker.since_ms
        )  # fmt: skip
        return write(following), breaker.since_ms
    if not is_over:
        return None
    since_ms = max(now_ms, 1)
    return write(Breaker(State.HALF_OPEN, 0, 1, since_ms)), since_ms


def succeed(word: int, token: int, policy: Policy) -> int:
    """Take the good end of a call that was let through."""
    breaker = read(word)
    if breaker.state is State.CLOSED:
        return 0 if token == 0 else word
    if breaker.state is not State.HALF_OPEN or token != breaker.since_ms:
        return word  # it is about an earlier time
    if breaker.count + 1 >= policy.successes:
        return 0
    return write(Breaker(State.HALF_OPEN, breaker.count + 1, breaker.probes, breaker.since_ms))


def fail(word: int, token: int, now_ms: int, policy: Policy) -> int:
    """Take the bad end of a call that was let through."""
    breaker = read(word)
    opened = write(Breaker(State.OPEN, 0, 0, max(now_ms, 1)))
    if breaker.state is State.CLOSED and token == 0:
        count = breaker.count + 1
        return opened if count >= policy.failures else write(Breaker(State.CLOSED, count))
    is_probe = breaker.state is State.HALF_OPEN and token == breaker.since_ms
    return opened if is_probe else word


def abandon(word: int, token: int) -> int:
    """Take back a call whose end says nothing: its client has gone."""
    breaker = read(word)
    if breaker.state is not State.HALF_OPEN or token != breaker.since_ms or not breaker.probes:
        return word
    return write(Breaker(State.HALF_OPEN, breaker.count, breaker.probes - 1, breaker.since_ms))


def recover(word: int) -> int:
    """Let probes through at once: somebody else has found the instance well again."""
    return write(Breaker(State.OPEN)) if read(word).state is State.OPEN else word


def is_due(word: int, now_ms: int, policy: Policy) -> bool:
    """Say whether a breaker that is not closed would let a call through."""
    return admit(word, now_ms, policy) is not None
