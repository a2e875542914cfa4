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
LONG, VERY_LONG = 0.2, 1.0
"""Of the longest wait: a request waits for the turn that is under way, for its own, and for those
in which its answer comes."""
SHARE = 0.05
"""The same: what is left of each turn for new requests while there are too many."""
CALM_S = 0.5
"""After so long without a refusal it is over."""


class Overload:
    """Says from when on, in a turn of the event loop, new requests are to be refused.

    In one turn the loop takes up all that is ready, so a turn is what anybody waits who comes now.
    A single long one is a hiccup. When all are long, the worker has fallen behind for good: the
    time goes to what it has begun, to new requests while a turn is young, and the rest is refused
    before it has waited for long.

    Args:
        max_wait_s: the longest that is still good.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.refuses_after = inf
        """On the clock of `turned`."""
        self._max_wait_s = max_wait_s
        self._long_turns = 0
        self._refused_at = 0.0

    def turned(self, now: float, length_s: float, taken: int, refused: bool) -> bool:
        """Take note of a turn that has ended; says whether the next one is to be told as well.

        Args:
            now: seconds.
            length_s: of the turn.
            taken: requests that were taken up in it.
            refused: whether requests were refused in it.
        """
        if self.refuses_after == inf:
            part = length_s / self._max_wait_s
            is_crowded = part > LONG and taken >= CROWD
            is_too_long = is_crowded or (part > VERY_LONG and taken >= FEW)
            self._long_turns = self._long_turns + 1 if is_too_long else 0
            if self._long_turns < LONG_TURNS:
                return self._long_turns > 0
            self._refused_at = now
        elif refused:
            self._refused_at = now
        elif now - self._refused_at > CALM_S:
            self.refuses_after = inf
            self._long_turns = 0
            return False
        self.refuses_after = now + SHARE * self._max_wait_s
        return True
