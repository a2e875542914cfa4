"""When a worker has more to do than it can."""

from math import inf

LONG_TURNS = 3
"""So many long turns in a row are no hiccup."""
CROWD = 100
"""So many requests in a turn are too many when it is long. Some sixty clients that wait for their
answers are none: without compiled parts they make turns as long, and never more than themselves."""
FEW = 32
"""So many are when it is very long. With fewer it is not they who make it so: something else keeps
the worker, such as its own start, or one large message; who comes then waits, and is served."""
LONG, VERY_LONG = 0.1, 1.0
"""Of the longest wait: a request waits for the turn that is under way, for its own, and for those
in which its answer comes."""
SHARE = 0.03
"""The same: what is left of each turn for new requests while there are too many."""
LEAST_S = 0.003
"""At least so much is, for turns of a loop without work are looked at now and then only."""
TRIAL_EACH_S = 2.0
"""So long after the last time it is tried whether there are still too many."""


class Overload:
    """Says from when on, in a turn of the event loop, new requests are to be refused.

    In one turn the loop takes up all that is ready, so a turn is what anybody waits who comes now.
    A single long one is a hiccup. When all are long, the worker has fallen behind for good: the
    time goes to what it has begun, to new requests while a turn is young, and the rest is refused
    before it has waited for long.

    Clients that ask again as soon as they were refused would be refused for ever, even if they are
    so few that all could be served. So now and then all are let in, for as long as the longest
    wait: if no turn brings a crowd, it is over.

    Args:
        max_wait_s: the longest that is still good.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.refuses_after = inf
        """On the clock of `turned`."""
        self._max_wait_s = max_wait_s
        self._long_turns = 0
        self._tries_at = self._tried_at = inf
        """When the next trial is to begin, and when the one that is under way has."""

    def turned(self, now: float, length_s: float, taken: int) -> bool:
        """Take note of a turn that has ended; says whether the next one is to be told as well.

        Args:
            now: seconds.
            length_s: of the turn.
            taken: requests that were taken up in it.
        """
        if self._tried_at < inf:
            return self._go_on_trying(now, taken)
        if self.refuses_after == inf and not self._is_behind(length_s, taken):
            return self._long_turns > 0
        if now >= self._tries_at:
            self._tries_at, self._tried_at, self.refuses_after = inf, now, inf
        else:
            self._refuse(now)
        return True

    def _is_behind(self, length_s: float, taken: int) -> bool:
        part = length_s / self._max_wait_s
        is_crowded = part > LONG and taken >= CROWD
        is_too_long = is_crowded or (part > VERY_LONG and taken >= FEW)
        self._long_turns = self._long_turns + 1 if is_too_long else 0
        return self._long_turns >= LONG_TURNS

    def _refuse(self, now: float) -> None:
        self.refuses_after = now + max(SHARE * self._max_wait_s, LEAST_S)
        if self._tries_at == inf:
            self._tries_at = now + TRIAL_EACH_S

    def _go_on_trying(self, now: float, taken: int) -> bool:
        """Let all in for a while longer; a crowd is too many still."""
        if taken >= CROWD:
            self._tried_at = inf
            self._refuse(now)
        elif now >= self._tried_at + self._max_wait_s:
            self._tried_at = inf
            self._long_turns = 0
        return self._long_turns > 0
