"""How many calls may be sent again, compared with those that were sent at all. Pure.

When everything fails, tries that are repeated would be a multiple of the load, for a server that
could not even bear the load.
"""

RATIO = 0.2
RESERVE = 10
"""So many may be sent again however few calls there were."""
MOST = 1000
"""Of what was not used, no more than that is saved up."""


class RetryBudget:
    """The budget of one server."""

    def __init__(self) -> None:
        self.granted = 0
        self._spent = 0.0

    def take(self, calls: int) -> bool:
        """Say whether one more call may be sent again.

        Args:
            calls: how many were sent so far, without those that were sent again.
        """
        earned = max(float(RESERVE), RATIO * calls)
        self._spent = max(self._spent, earned - MOST)
        if self._spent + 1 > earned:
            return False
        self._spent += 1
        self.granted += 1
        return True
