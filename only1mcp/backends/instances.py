"""The instances of one server as this process shares calls out among them."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendUnreachable, CircuitOpen
from only1mcp.memory.instances import Known
from only1mcp.registry.server import Server, without_credentials
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import State
from only1mcp.resilience.retry_budget import RetryBudget
from only1mcp.routing.load_balancer import (
    make_balancer,
    place_of,
    place_of_arguments,
    place_of_principal,
    place_of_session,
)  # fmt: skip

_log = logging.getLogger(__name__)
OnTurn = Callable[[str, str, str, str], None]
"""Takes a server's id, the name of an instance, the state that its breaker is in now, and why."""
OnRetry = Callable[[str, bool], None]
"""Takes a server's id, and whether a call was withheld that would else have been sent again."""


def _unheard(*what: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The instance that takes a call."""

    place: int
    token: int
    """What the call's end means to the breaker."""
    began: float


def now_ms() -> int:
    """Return the time by which breakers go, the same in all processes."""
    return time.monotonic_ns() // 1_000_000


class Instances:
    """Chooses an instance for each call, and keeps account of how calls end."""

    def __init__(
        self, server: Server, known: Sequence[Known], on_turn: OnTurn = _unheard,
        on_retry: OnRetry = _unheard,
    ) -> None:  # fmt: skip
        self._server = server
        self._on_turn = on_turn
        self._on_retry = on_retry
        self._known = tuple(known)
        self.gauges = [one.gauge for one in known]
        self.names = [place.url for place in server.places]
        self.balancer = make_balancer(server, self.gauges, os.urandom)
        self._budget = RetryBudget()
        self._calls_before = sum(gauge.calls() for gauge in self.gauges)
        self.arguments = place_of_arguments(server.routing.hash_arguments)

    def choose(self, outgoing: Outgoing, tried: int = 0) -> Chosen:
        """Choose, and count the call as under way there.

        Raises:
            BackendUnreachable: there is none that could take it.
        """
        probe = self._probe(tried)
        if probe is not None:
            return self._enter(*probe)
        key, keyed = self._key(outgoing)
        place = self.balancer.pick(key, keyed, tried)
        if place < 0:
            raise self._refusal(tried)
        return self._enter(place, 0)

    def at(self, place: int) -> Chosen:
        """Take an instance that alone can answer; its breaker has no say in that."""
        return self._enter(place, 0)

    def _enter(self, place: int, token: int) -> Chosen:
        self.gauges[place].enter()
        return Chosen(place, token, time.monotonic())

    def _probe(self, tried: int) -> tuple[int, int] | None:
        """Give the call to an instance that is to be tried, if there is one."""
        for place, known in enumerate(self._known):
            if known.gauge.is_closed() or tried >> place & 1:
                continue
            while True:
                word = known.breaker
                admitted = breaker.admit(word, now_ms(), self._server.breaker)
                if admitted is None:
                    break
                if known.words.swap(known.at, word, admitted[0]):
                    self._tell(place, word, admitted[0], "it is tried again")
                    return (place, admitted[1]) if admitted[1] else None
        return None

    def _key(self, outgoing: Outgoing) -> tuple[int, bool]:
        """Return what places a call, and whether that is all that counts."""
        routing = self._server.routing
        if outgoing.session and routing.sticky:
            return place_of_session(outgoing.session), True
        if routing.algorithm != "consistent_hash":
            return 0, False
        if routing.hash_key == "session" and outgoing.session:
            return place_of_session(outgoing.session), False
        if routing.hash_key == "principal" and outgoing.principal:
            return place_of_principal(outgoing.principal), False
        if routing.hash_key == "arguments":
            return self.arguments(outgoing.params), False
        return place_of((outgoing.target or outgoing.method).encode()), False

    def _refusal(self, tried: int) -> BackendUnreachable:
        name = self._server.id
        if tried:
            return BackendUnreachable(f"server {name} has no other instance that takes calls")
        since = min(breaker.read(one.breaker).since_ms for one in self._known)
        left_ms = max(since + self._server.breaker.timeout_ms - now_ms(), 0)
        return CircuitOpen.of(name, (left_ms + 500) // 1000)

    def ended(self, chosen: Chosen) -> None:
        """Count a call as no longer under way, however it ended; used once for each choice."""
        self.gauges[chosen.place].leave()

    def answered(self, chosen: Chosen) -> None:
        """Take a call that the instance answered, be it with an error."""
        micros = int((time.monotonic() - chosen.began) * 1e6)
        self.gauges[chosen.place].note(micros, False)
        self.is_well(chosen.place, chosen.token)

    def is_well(self, place: int, token: int = 0) -> None:
        """Let the breaker know that a call went well."""
        policy = self._server.breaker
        self._change(
            place, lambda word: breaker.succeed(word, token, policy), "it answers again"
        )  # fmt: skip

    def failed(self, place: int, token: int, why: str) -> None:
        """Take a call that the instance failed to answer."""
        self.gauges[place].note(0, True)
        policy, now = self._server.breaker, now_ms()
        self._change(place, lambda word: breaker.fail(word, token, now, policy), why)

    def may_repeat(self) -> bool:
        """Say whether a call that may have run, and may run twice, is to be sent again."""
        sent = sum(gauge.calls() for gauge in self.gauges) - self._calls_before
        granted = self._budget.take(sent - self._budget.granted)
        if not granted:
            self._on_retry(self._server.id, True)
        return granted

    def sent_again(self) -> None:
        """Take a call that goes on to an instance, be it the same, after one has failed it."""
        self._on_retry(self._server.id, False)

    def abandoned(self, chosen: Chosen) -> None:
        """Take a call whose end says nothing about the instance."""
        self._change(chosen.place, lambda word: breaker.abandon(word, chosen.token), "")

    def _change(self, place: int, change: Callable[[int], int], why: str) -> None:
        known = self._known[place]
        while True:
            word = known.breaker
            following = change(word)
            if following == word:
                return
            if known.words.swap(known.at, word, following):
                self._tell(place, word, following, why)
                return

    def _tell(self, place: int, word: int, following: int, why: str) -> None:
        before, after = State(word >> 62), State(following >> 62)
        if before is after:
            return
        state = after.name.lower()
        instance = without_credentials(self.names[place]) if self.names else ""
        level = logging.WARNING if after is State.OPEN else logging.INFO
        _log.log(
            level, "circuit breaker is %s: %s", state, why,
            extra={"server": self._server.id, "instance": instance},
        )  # fmt: skip
        self._on_turn(self._server.id, instance, state, why)
