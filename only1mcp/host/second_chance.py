"""Has an instance tried again before its circuit breaker would, when a health check goes well.

A server that hung for a moment is back the moment it goes on: nobody need wait for the breaker's
whole time. One that answers checks and fails calls must not gain by it: each time that an early
try fails, the next one comes later, until it comes when the breaker itself would have it.
"""

import asyncio
from collections.abc import Callable

from only1mcp.backends.instances import now_ms
from only1mcp.memory.instances import Known
from only1mcp.registry.server import BreakerPolicy
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import State

FIRST_MS = 1000
"""How long a breaker is open at the least."""
LOOK_S = 1.0
"""How often one looks whether the breaker has opened, which workers do."""


class SecondChance:
    """Watches over the breaker of one instance, for whoever checks it.

    Args:
        known: what is known of the instance.
        policy: returns that of its breaker.
    """

    def __init__(self, known: Known, policy: Callable[[], BreakerPolicy]) -> None:
        self._known = known
        self._policy = policy
        self._wait_ms = FIRST_MS

    @property
    def is_due(self) -> bool:
        """Whether a check that goes well now would have the instance tried."""
        policy, word = self._policy(), breaker.read(self._known.breaker)
        if word.state is State.CLOSED:
            self._wait_ms = FIRST_MS
        is_open = word.state is State.OPEN and word.since_ms > 0
        return policy.heeds_checks and is_open and now_ms() - word.since_ms >= self._wait_ms

    def checked(self, is_good: bool) -> None:
        """Take the end of a check; one that failed explains why calls did."""
        if not is_good:
            self._wait_ms = FIRST_MS
        elif self.is_due:
            self._wait_ms = min(2 * self._wait_ms, max(self._policy().timeout_ms, FIRST_MS))
            self.recover()

    def recover(self) -> None:
        """Have the instance tried at once, if it gets no calls."""
        word = self._known.breaker
        self._known.words.swap(self._known.at, word, breaker.recover(word))

    async def rest(self, pause_s: float) -> None:
        """Wait until the next check, which comes early if the instance is to be tried."""
        deadline = asyncio.get_running_loop().time() + pause_s
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left_s, LOOK_S))
            if self.is_due:
                return
