"""Warns of names that collide, without burying what else is said."""

import logging
from collections.abc import Callable, Iterable

from xxhash import xxh3_64_intdigest

_log = logging.getLogger(__name__)
FEW = 5
"""So many are told one by one."""


class CollisionLog:
    """Tells of the first few collisions of an occasion, and how many more there are.

    Args:
        is_news: says whether nobody, in any process, has told of something yet.
    """

    def __init__(self, is_news: Callable[[str], bool]) -> None:
        self._is_news = is_news
        self._count = self._mark = 0

    def tell(self, collisions: Iterable[str]) -> None:
        """Tell of some more."""
        for collision in collisions:
            self._count += 1
            self._mark += xxh3_64_intdigest(collision.encode())  # whatever order they come in
            if self._count > FEW:
                _log.debug("name collision: %s", collision)
            elif self._is_news(collision):
                _log.warning("name collision: %s", collision)

    def sum_up(self) -> None:
        """End the occasion: say how many were left out."""
        more = f"{self._count - FEW} more name collisions"
        if self._count > FEW and self._is_news(f"{more} {self._mark}"):
            _log.warning(
                "and %s: `only1mcp tools list` shows the names that tools are served under, "
                "log level debug tells of each", more,
            )  # fmt: skip
        self._count = self._mark = 0
