"""One message of a client, from its arrival to its end."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import BackendLost, Cancelled, InvalidRequest
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Answer, Request
from only1mcp.proxy.journey import Journey, Outcome
from tests.support.asking import ALL, CALL, META, askable_desk
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop
from tests.support.messages import legacy, modern, modern_headers, notification
from tests.support.told import Told

ENDS = ("answer", "failure", "leave", "question")
DONE = Answer(200, b'{"done":true}')


class Way:
    """A journey with all that comes of it."""

    def __init__(self, body: bytes = b"", headers: McpHeaders | None = None) -> None:
        self.told = Told()
        self.outcomes: list[Outcome] = []
        self.ends = 0
        self._now = 0.0
        request = Request(headers or McpHeaders(), body, "::1")
        self.journey = Journey("w-1", self._tick, self.outcomes.append, request, self.told)
        if body:
            self.journey.envelope = scan(body)
        self.journey.on_end = self._end

    def _tick(self) -> float:
        self._now += 0.5
        return self._now

    def _end(self) -> None:
        self.ends += 1

    @property
    def statuses(self) -> list[str]:
        """How it was recorded to have ended."""
        return [outcome.status for outcome in self.outcomes]


def test_a_journey_ends_once() -> None:
    """Whatever comes first counts; it is recorded and told then."""
    way = Way(legacy("ping"))
    way.journey.message(b"1")
    way.journey.finish(DONE)()
    way.journey.message(b"2")
    way.journey.finish(Answer(200, b"again"))
    way.journey.fail(InvalidRequest("late"))
    way.journey.drop(InvalidRequest("late"))
    way.journey.end(BackendLost("late"), "ok")
    way.journey.abandon()
    way.journey.until(lambda: None)()
    assert [message for _, message in way.told.sent] == [b"1"]
    assert way.told.only is DONE
    assert (way.statuses, way.ends) == (["ok"], 1)


def test_a_client_that_leaves_first_is_told_nothing() -> None:
    """It is recorded as cancelled, once."""
    way = Way(legacy("ping"))
    way.journey.abandon()
    way.journey.abandon()
    way.journey.message(b"1")
    way.journey.finish(DONE)
    assert (way.told.sent, way.told.answers) == ([], [])
    assert (way.statuses, way.ends) == (["cancelled"], 1)


def test_leaving_a_stream_is_its_proper_end() -> None:
    """Whoever fills it is told to stop."""
    stopped: list[int] = []
    way = Way(legacy("ping"))
    left = way.journey.until(lambda: stopped.append(1))
    left()
    left()
    assert way.statuses == ["ok"]
    assert stopped


def test_a_call_ends_with_its_answer_or_its_failure() -> None:
    """Each under the status that it has for metrics."""
    answered, failed = Way(legacy("ping")), Way(modern("tools/call"), modern_headers("tools/call"))
    answered.journey.end(DONE, "error")
    failed.journey.end(BackendLost("gone", detail="inside"), "ignored")
    assert (answered.told.only, answered.statuses) == (DONE, ["error"])
    assert failed.told.message["error"]["code"] == 32003
    assert [(one.status, one.detail) for one in failed.outcomes] == [("backend_lost", "inside")]


def test_a_failure_names_the_request_if_there_is_one() -> None:
    """A notification has no id to answer, and what is no message has none either."""
    ways = [Way(legacy("ping", request_id="r")), Way(notification("x")), Way()]
    for way in ways:
        way.journey.fail(Cancelled("over"))
    assert [way.told.message["id"] for way in ways] == ["r", None, None]
    assert ways[0].outcomes[0].detail == "over"


def test_an_outcome_says_what_was_asked_for_and_how_long_it_took() -> None:
    """As far as it is known."""
    call = Way(modern("tools/call", {"name": "a__x"}), modern_headers("tools/call", "a__x"))
    read = Way(legacy("resources/read", {"uri": "r://1"}))
    unknown = Way()
    for way in (call, read, unknown):
        way.journey.finish(DONE)
    (outcome,) = call.outcomes
    assert (outcome.method, outcome.method_index) == ("tools/call", METHODS["tools/call"].index)
    assert (outcome.request_id, outcome.client, outcome.seconds) == ("w-1", "::1", 0.5)
    assert (outcome.target, outcome.server_id) == ("a__x", None)
    assert read.outcomes[0].target == "r://1"
    (outcome,) = unknown.outcomes
    assert (outcome.method, outcome.method_index, outcome.target) == ("", OTHER_INDEX, None)


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize("end", ENDS)
@on_loop
async def test_a_call_that_has_ended_is_freed_without_the_collector(era: Era, end: str) -> None:
    """What holds itself piles up until it is collected, which costs each call its share."""
    desk = askable_desk()
    with _no_collector():
        told = weakref.ref(_call(desk, era, end))
        await asyncio.sleep(0)  # the loop lets go of what it has run
        assert told() is None


def _call(desk: Desk, era: Era, end: str) -> Told:
    """Make a call and bring it to its end; return what its client was told."""
    if era is Era.MODERN:
        told = desk.modern("tools/call", {**CALL, "_meta": META})
    else:
        told = desk.legacy("tools/call", CALL, desk.session(ALL))
    server = desk.hosted["a"]
    if end == "leave":
        told.cancel()
        assert server.calls[0].cancelled
    elif end == "failure":
        server.answer(BackendLost("gone"))
    else:
        if end == "question":
            server.ask("roots/list")
        server.answer(tool_result("y"))
    assert len(told.answers) == (end != "leave")
    told.cancel = _nothing  # a connection lets go of it with the end as well
    server.calls.clear()
    return told


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _nothing() -> None:
    """There is nothing to cancel."""
