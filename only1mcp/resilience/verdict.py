"""Whether something is up, judged by checks, each of which may err. Pure."""


class Verdict:
    """So many bad checks in a row take it down, so many good ones bring it back.

    The first good check of all is enough: there is nothing yet that spoke against it.
    """

    def __init__(self) -> None:
        self.is_up: bool | None = None
        """None while nothing is known."""
        self._row = 0
        """How many checks in a row spoke against the verdict."""

    def take(self, is_good: bool, failures: int, successes: int) -> bool:
        """Take a check; say whether the verdict has changed.

        Args:
            is_good: how the check went.
            failures: so many in a row take it down.
            successes: so many in a row bring it back.
        """
        if is_good is self.is_up:
            self._row = 0
            return False
        self._row += 1
        needed = failures
        if is_good:
            needed = 1 if self.is_up is None else successes
        if self._row < needed:
            return False
        self._row, self.is_up = 0, is_good
        return True
