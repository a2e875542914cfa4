"""Who accepts on the sockets of workers that are not there, or that do nothing.

The kernel shares clients out among all sockets, whether anybody accepts on them or not. Those of a
worker that died would wait for its successor: for a moment, or as long as a crash loop backs off.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Post:
    """One worker that serves."""

    covers: int
    """On which sockets it accepts by itself, one bit for each."""
    knows: int
    """How many sockets it has, by their order."""


def stand_ins(posts: Sequence[Post], sockets: int) -> list[int]:
    """Return on which further sockets each worker is to accept, that every one is served."""
    covered = 0
    for post in posts:
        covered |= post.covers
    wanted = [0] * len(posts)
    for place in range(sockets):
        able = [index for index, post in enumerate(posts) if post.knows > place]
        if able and not covered >> place & 1:
            wanted[able[place % len(able)]] |= 1 << place
    return wanted
