"""What each behaviour is tried on, and the combinations that the protocol cannot carry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.matrix.sides import PAIRS, Pair

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Gap:
    """Pairs on which a behaviour is not tried, and why there is nothing to try."""

    behaviour: str
    fits: Callable[[Pair], bool]
    reason: str


def _modern_front(pair: Pair) -> bool:
    return pair.front.is_modern


def _legacy_front(pair: Pair) -> bool:
    return not pair.front.is_modern


def _modern_leg(pair: Pair) -> bool:
    return pair.leg_is_modern


def _before(revision: str) -> Callable[[Pair], bool]:
    return lambda pair: pair.front.revision < revision


NO_PING = "2026-07-28 has no ping"
NO_SET_LEVEL = "2026-07-28 has no logging/setLevel: each request names its level"
LEGACY_LOGS = "a legacy client that names no level gets what the server sends"
NO_QUESTIONS = "2026-07-28 has no requests of servers that could be taken back"
NO_FORM = "its revision has no elicitation"
GAPS: tuple[Gap, ...] = (
    Gap("ping", _modern_front, NO_PING),
    Gap("bad level", _modern_front, NO_SET_LEVEL),
    Gap("no log messages", _legacy_front, LEGACY_LOGS),
    Gap("a question withdrawn", _modern_leg, NO_QUESTIONS),
    Gap("a question withdrawn", _before("2025-06-18"), NO_FORM),
)


def pairs(behaviour: str) -> list[Pair]:
    """Return the pairs on which a behaviour is tried."""
    return [pair for pair in PAIRS if gap(behaviour, pair) is None]


def gap(behaviour: str, pair: Pair) -> Gap | None:
    """Return why a behaviour is not tried on a pair."""
    fitting = (one for one in GAPS if one.behaviour == behaviour and one.fits(pair))
    return next(fitting, None)


BEHAVIOURS: list[str] = []
"""All that are tried, in the order of their tests."""


def everywhere(behaviour: str) -> Callable[[T], T]:
    """Try a test on every pair on which there is something to try."""

    def mark(test: T) -> T:
        BEHAVIOURS.append(behaviour)
        chosen = pairs(behaviour)
        parametrized = pytest.mark.parametrize("pair", chosen, ids=[pair.id for pair in chosen])
        marked: T = pytest.mark.behaviour(behaviour)(parametrized(test))
        return marked

    return mark
