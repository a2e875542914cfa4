"""What each behaviour is tried on, and the combinations that the protocol cannot carry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.matrix.sides import NEWEST_LEGACY, PAIRS, Pair

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


def _modern_throughout(pair: Pair) -> bool:
    return pair.front.is_modern and pair.leg_is_modern


def _asks_on_get(pair: Pair) -> bool:
    return pair.back.ask_on == "get"


def _modern_http_leg(pair: Pair) -> bool:
    return pair.leg_is_modern and not pair.back.is_channel


def _no_tasks(pair: Pair) -> bool:
    if pair.leg_is_modern:
        return not pair.front.is_modern
    return pair.front.revision != NEWEST_LEGACY or pair.back.era == "dual"


def _tasks(pair: Pair) -> bool:
    return not _no_tasks(pair)


def _before_tasks(pair: Pair) -> bool:
    return _no_tasks(pair) and pair.front.revision < NEWEST_LEGACY


def _of_both_eras(pair: Pair) -> bool:
    return pair.front.revision == NEWEST_LEGACY and pair.back.era == "dual"


def _not_resumable(pair: Pair) -> bool:
    return pair.front.transport != "http"


def _not_batching(pair: Pair) -> bool:
    return pair.front.revision != "2025-03-26"


def _own_process(pair: Pair) -> bool:
    return pair.back.transport == "stdio" and not pair.leg_is_modern


def _own_process_of_legacy(pair: Pair) -> bool:
    return not pair.front.is_modern and _own_process(pair)


def _before(revision: str) -> Callable[[Pair], bool]:
    return lambda pair: pair.front.revision < revision


NO_PING = "2026-07-28 has no ping"
NO_SET_LEVEL = "2026-07-28 has no logging/setLevel: each request names its level"
LEGACY_LOGS = "a legacy client that names no level gets what the server sends"
NO_REQUESTS = "2026-07-28 has no requests of servers that could be taken back"
NO_FORM = "elicitation is younger than the client's revision"
NO_URL = "elicitation by URL is younger than the client's revision"
NO_ROOTS_CHANGED = "2026-07-28 has no notification of changed roots: they are asked for each time"
NO_ERROR = "a modern client leaves out what it does not answer: there is no error to send"
UNTOUCHED = "what a modern server asks of a modern client goes through as it is, asked or not"
UNHEARD = "a client that cannot be asked need not open the stream on which this server asks"
AWAY = "between two requests of one call a modern client is away: nobody can see it leave"
NOTHING_OPEN = "while its client is asked, nothing is under way at a modern server"
NO_IDS = "a modern client is not asked by requests whose ids others could use"
NO_STATE = "legacy calls carry no state"
OWN_STATE = "what a modern server's state is good for, that server says itself"
NO_CHOICE = "legacy clients cannot choose of which lists they hear"
OWN_PROCESS = (
    "a legacy server on stdio runs a process for each client that it may ask; lists are those of "
    "processes that serve nobody"
)
OTHER_PROCESS = (
    "on stdio a legacy client that can be asked watches the process that is its own: what others "
    "do in theirs does not happen there"
)
NO_SERVER_PING = "2026-07-28 has no requests of servers, so no ping either"
NO_COMPLETE = "a server of 2026-07-28 has no notification that a URL was dealt with"
NO_RESUMPTION = "2026-07-28 has no resumption: a stream that broke is a lost request"
LATE_RESUMPTION = "optional; offered from 2025-11-25 on, since when streams begin with an id"
NO_STREAMS = "only Streamable HTTP has streams of single requests that could be resumed"
NO_QUESTION = "a modern client answers with its next request: it has nothing to report progress on"
YOUNG_TASKS = "tasks are younger than the client's revision"
UNKNOWN_TASKS = (
    "a server of both eras is met in the newer one, in which nothing is said of tasks of 2025-11-25"
)
TWO_DESIGNS = "the two designs of tasks cannot be converted into each other"
NO_TASK_LIST = "2026-07-28 has no list of tasks"
NO_TASK_PROGRESS = "2026-07-28 has progress on the stream of a call alone, which a task ends"
NO_TASK_SESSION = "a modern task belongs to whoever has its id and the same key, and here is no key"
NO_BATCHES = "batches are of 2025-03-26 alone: clients of other revisions are refused"
TASKS_THERE = "here is what the other behaviours of tasks try"
GAPS: tuple[Gap, ...] = (
    *(
        Gap(behaviour, fits, reason)
        for behaviour in (
            "a task",
            "a task that takes its time",
            "a task that is cancelled",
            "listed tasks",
            "the status of a task",
            "a task that asks",
            "another's task",
            "a task that fails",
            "progress of a task",
        )
        for fits, reason in (
            (_before_tasks, YOUNG_TASKS),
            (_of_both_eras, UNKNOWN_TASKS),
            (_no_tasks, TWO_DESIGNS),
        )
    ),
    Gap("listed tasks", _modern_front, NO_TASK_LIST),
    Gap("another's task", _modern_front, NO_TASK_SESSION),
    Gap("progress of a task", _modern_front, NO_TASK_PROGRESS),
    Gap("tasks of the other era", _tasks, TASKS_THERE),
    Gap("ping", _modern_front, NO_PING),
    Gap("bad level", _modern_front, NO_SET_LEVEL),
    Gap("no log messages", _legacy_front, LEGACY_LOGS),
    Gap("a question withdrawn", _modern_leg, NO_REQUESTS),
    Gap("a question withdrawn", _before("2025-06-18"), NO_FORM),
    Gap("elicitation by form", _before("2025-06-18"), NO_FORM),
    Gap("elicitation by URL", _before("2025-11-25"), NO_URL),
    Gap("a question of a prompt", _before("2025-06-18"), NO_FORM),
    Gap("a question of a resource", _before("2025-06-18"), NO_FORM),
    Gap("URL first", _before("2025-11-25"), NO_URL),
    Gap("roots changed", _modern_front, NO_ROOTS_CHANGED),
    Gap("roots changed", _modern_leg, NO_ROOTS_CHANGED),
    Gap("declined", _before("2025-06-18"), NO_FORM),
    Gap("an error as an answer", _modern_front, NO_ERROR),
    Gap("asked nevertheless", _modern_throughout, UNTOUCHED),
    Gap("asked nevertheless", _asks_on_get, UNHEARD),
    Gap("never answered", _modern_front, AWAY),
    Gap("never answered", _modern_leg, NOTHING_OPEN),
    Gap("answered twice", _modern_front, NO_IDS),
    Gap("answered by another", _modern_front, NO_IDS),
    Gap("tampered state", _legacy_front, NO_STATE),
    Gap("state of another call", _legacy_front, NO_STATE),
    Gap("state of another call", _modern_throughout, OWN_STATE),
    Gap("changed lists on an own connection", _own_process, OWN_PROCESS),
    Gap("updated resources for who can be asked", _own_process_of_legacy, OTHER_PROCESS),
    Gap("ping of the server", _modern_leg, NO_SERVER_PING),
    Gap("ping of the server on a shared connection", _modern_leg, NO_SERVER_PING),
    Gap("ping of the server on a shared connection", _asks_on_get, UNHEARD),
    Gap("a URL that is dealt with", _before("2025-11-25"), NO_URL),
    Gap("a URL that is dealt with", _modern_leg, NO_COMPLETE),
    Gap("progress of an answer", _modern_front, NO_QUESTION),
    Gap("resumed by the client", _modern_front, NO_RESUMPTION),
    Gap("resumed by the client", _not_resumable, NO_STREAMS),
    Gap("resumed by the client", _before("2025-11-25"), LATE_RESUMPTION),
    Gap("broken off by the server", _modern_http_leg, NO_RESUMPTION),
    Gap("unwanted changes", _legacy_front, NO_CHOICE),
    Gap("answers missing", _legacy_front, NO_STATE),
    Gap("a batch", _not_batching, NO_BATCHES),
)


def pairs(behaviour: str) -> list[Pair]:
    """Return the pairs on which a behaviour is tried."""
    return [pair for pair in PAIRS if gap(behaviour, pair) is None]


def gap(behaviour: str, pair: Pair) -> Gap | None:
    """Return why a behaviour is not tried on a pair."""
    fitting = (one for one in GAPS if one.behaviour == behaviour and one.fits(pair))
    return next(fitting, None)


BEHAVIOURS: dict[str, Callable[..., Any]] = {}
"""All that are tried, and the test of each."""


def everywhere(behaviour: str) -> Callable[[T], T]:
    """Try a test on every pair on which there is something to try."""

    def mark(test: T) -> T:
        assert behaviour not in BEHAVIOURS, f"there are two tests of {behaviour}"
        BEHAVIOURS[behaviour] = test
        chosen = pairs(behaviour)
        parametrized = pytest.mark.parametrize("pair", chosen, ids=[pair.id for pair in chosen])
        marked: T = pytest.mark.behaviour(behaviour)(parametrized(test))
        return marked

    return mark
