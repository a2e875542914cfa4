"""Streams of legacy clients that outlive their connections."""

import json

import pytest

from only1mcp.errors import InvalidRequest
from only1mcp.proxy import replay
from only1mcp.proxy.exchange import Answer
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.kept_stream import Kept, last_id, moved
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification
from tests.support.told import Told

CALL = {"name": "a__x", "_meta": {"progressToken": 7}}


def progress(desk: Desk, number: int, call: int = 1) -> None:
    """Let the server of the last call, which is this one, make progress."""
    params = {"progressToken": f"ours-{call}", "progress": number}
    desk.backends["a"].notify("notifications/progress", params)


def numbers(told: Told) -> list[int]:
    """Return the progress that a client was told."""
    return [message["params"]["progress"] for message in told.messages]


async def started() -> tuple[Desk, str, Told]:
    """Return a call that has made progress twice."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.legacy("tools/call", CALL, session)
    progress(desk, 1)
    progress(desk, 2)
    return desk, session, told


@on_loop
async def test_a_stream_begins_with_an_id_and_counts_its_events() -> None:
    """So that a client can come back from its very first moment (SEP-1699)."""
    desk, _, told = await started()
    desk.backends["a"].answer(tool_result("x"))
    first = told.sent[0]
    assert first == (moved(last_id(told), 0), b"")
    assert told.event_ids == [moved(last_id(told), number) for number in (0, 1, 2, 3)]
    assert told.only.status == 200


@on_loop
async def test_an_answer_with_nothing_before_it_is_no_stream() -> None:
    """It has no ids, and nothing is kept."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.legacy("tools/call", CALL)
    desk.backends["a"].answer(tool_result("x"))
    assert told.event_ids == [None]


@pytest.mark.parametrize("seen", range(5))
@on_loop
async def test_a_client_that_comes_back_gets_exactly_what_it_has_not_seen(seen: int) -> None:
    """From any event on, with the same ids, up to the answer; then the stream ends."""
    desk, session, told = await started()
    progress(desk, 3)
    desk.backends["a"].answer(tool_result("x"))
    again = desk.stream(session, moved(last_id(told), seen))
    whole = [*(json.loads(message) for _, message in told.sent[1:]), told.message]
    assert again.messages == whole[seen:]
    assert again.event_ids == told.event_ids[seen + 1 :]
    assert again.is_open
    assert again.has_ended


@on_loop
async def test_a_broken_connection_does_not_stop_the_call() -> None:
    """What it does meanwhile is told to the next connection, and what follows as well."""
    desk, session, told = await started()
    told.cancel()
    progress(desk, 3)
    again = desk.stream(session, moved(last_id(told), 1))
    progress(desk, 4)
    desk.backends["a"].answer(tool_result("x"))
    assert (numbers(told), told.answers) == ([1, 2], [])
    assert numbers(again) == [2, 3, 4]
    assert again.message["result"]["content"][0]["text"] == "x"
    assert last_id(again) == moved(last_id(told), 5)
    assert [outcome.status for outcome in desk.outcomes] == ["ok"]


@on_loop
async def test_a_new_connection_takes_over_from_one_that_still_seems_open() -> None:
    """No message comes on both; that the old one breaks later does not matter any more."""
    desk, session, told = await started()
    again = desk.stream(session, last_id(told))
    assert told.has_ended
    told.cancel()
    progress(desk, 3)
    assert numbers(again) == [3]
    desk.backends["a"].answer(tool_result("x"))
    assert again.only.status == 200


@on_loop
async def test_a_connection_can_break_more_than_once() -> None:
    """Each is followed by the next."""
    desk, session, told = await started()
    told.cancel()
    for number in (3, 4, 5):
        told = desk.stream(session, last_id(told))
        progress(desk, number)
        assert numbers(told) == [number]
        told.cancel()
        told.cancel()
    last = desk.stream(session, last_id(told))
    desk.backends["a"].answer(tool_result("x"))
    assert last.only.status == 200


@on_loop
async def test_a_client_that_does_not_come_back_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the connection that breaks is not its first; its call is cancelled."""
    monkeypatch.setattr(replay, "RETAIN_S", 0.02)
    for breaks in (1, 2):
        desk, session, told = await started()
        seen = last_id(told)
        if breaks == 2:
            told.cancel()
            told = desk.stream(session, seen)
        told.cancel()
        call = desk.backends["a"].calls[0]
        await eventually(lambda call=call: call.cancelled, "the end of the call")  # type: ignore[misc]
        assert [outcome.status for outcome in desk.outcomes] == ["cancelled"]
        with pytest.raises(InvalidRequest, match="gone"):
            desk.stream(session, seen)


@on_loop
async def test_a_client_that_is_there_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its call takes after it came back."""
    monkeypatch.setattr(replay, "RETAIN_S", 0.02)
    desk, session, told = await started()
    told.cancel()
    again = desk.stream(session, last_id(told))
    other = desk.legacy("tools/call", {"name": "a__x", "_meta": {"progressToken": 8}}, session)
    desk.backends["a"].notify("notifications/progress", {"progressToken": "ours-2", "progress": 1})
    other.cancel()
    await eventually(lambda: desk.backends["a"].calls[1].cancelled, "the time to have passed")
    assert not desk.backends["a"].calls[0].cancelled
    desk.backends["a"].answer(tool_result("x"), 0)
    assert again.only.status == 200


@on_loop
async def test_another_session_gets_nothing_of_a_stream() -> None:
    """Whoever knows its name; the stream goes on where it was."""
    desk, _, told = await started()
    with pytest.raises(InvalidRequest, match="gone"):
        desk.stream(desk.session(), moved(last_id(told), 0))
    progress(desk, 3)
    assert numbers(told) == [1, 2, 3]


@on_loop
async def test_a_client_of_an_older_revision_cannot_come_back() -> None:
    """Its stream has no ids, and its connection takes the call along."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.legacy("tools/call", CALL, desk.session(version="2025-06-18"))
    progress(desk, 1)
    assert told.event_ids == [None]
    told.cancel()
    assert desk.backends["a"].calls[0].cancelled


@on_loop
async def test_a_connection_that_breaks_before_the_stream_takes_the_call_along() -> None:
    """The client has no id to come back with."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.legacy("tools/call", CALL)
    told.cancel()
    assert desk.backends["a"].calls[0].cancelled


@pytest.mark.parametrize(("of_call", "seen", "anew"), [(True, 0, 0), (False, 6, 0), (False, 5, 1)])
@on_loop
async def test_what_is_kept_is_bounded_by_number(
    monkeypatch: pytest.MonkeyPatch, of_call: bool, seen: int, anew: int
) -> None:
    """The newest events stay; a session's stream is replaced once it has lost what followed."""
    monkeypatch.setattr(replay, "MAX_EVENTS", 4)
    kept = Kept(of_call=of_call)
    for number in range(10):
        kept.stream.send(b"%d" % number)
    again = kept.resume(moved(last_id(kept.told), seen))
    assert [message for _, message in again.sent] == ([] if anew else [b"6", b"7", b"8", b"9"])
    assert kept.anew == anew


@on_loop
async def test_what_is_kept_is_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the last event, which may be the answer."""
    monkeypatch.setattr(replay, "MAX_BYTES", 10)
    kept = Kept()
    for size in (4, 5, 1):
        kept.stream.send(b"x" * size)
    again = kept.resume(moved(last_id(kept.told), 0))
    assert [len(message) for _, message in again.sent] == [4, 5, 1]
    kept.stream.send(b"y" * 50)
    assert [len(message) for _, message in kept.resume(moved(last_id(again), 0)).sent] == [50]


@on_loop
async def test_an_answered_stream_can_be_read_again_for_some_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then nothing of it is left."""
    monkeypatch.setattr(replay, "RETAIN_S", 0.02)
    kept = Kept()
    kept.stream.answer(Answer(200, b'{"a":1}'))
    assert kept.resume(moved(last_id(kept.told), 0)).messages == [{"a": 1}]
    kept.broken()
    await eventually(lambda: not len(kept.replays), "the stream to be forgotten")
    with pytest.raises(InvalidRequest):
        kept.resume(last_id(kept.told))


@on_loop
async def test_a_stream_that_ended_while_its_client_was_away_tells_what_was_missed() -> None:
    """Then it is over; it came to its end without giving anything up."""
    kept = Kept(of_call=False)
    kept.stream.send(b'{"n":1}')
    kept.broken()
    kept.stream.send(b'{"n":2}')
    kept.stream.end()
    again = kept.resume(last_id(kept.told))
    assert again.messages == [{"n": 2}]
    assert again.has_ended
    assert kept.given_up == 0


@on_loop
async def test_a_stream_that_ended_under_its_client_is_replaced_by_a_new_one() -> None:
    """Otherwise the client would be given the ended one again and again."""
    kept = Kept(of_call=False)
    kept.stream.end()
    assert kept.told.has_ended
    assert len(kept.replays) == 0
    kept.resume(last_id(kept.told))
    assert kept.anew == 1


@pytest.mark.parametrize(
    "strange",
    ["", "-", "x", "7", "1.0", "1.0-", "1.0-s0123-1", "1.0-sé-1", "--1", "1.0--1"],
)
@on_loop
async def test_an_id_that_names_no_stream_leads_to_a_new_one(strange: str) -> None:
    """The client hears what happens from now on."""
    kept = Kept(of_call=False)
    kept.resume(strange)
    assert kept.anew == 1


@pytest.mark.parametrize("number", ["", "²", "٣", "+1", "1.0", "x", "9" * 5000])
@on_loop
async def test_a_place_in_a_stream_that_is_no_number_leads_to_a_new_one(number: str) -> None:
    """Nothing that a client can send in a header does harm."""
    kept = Kept(of_call=False)
    name = last_id(kept.told).rpartition("-")[0]
    kept.resume(f"{name}-{number}")
    assert kept.anew == 1
    assert not kept.told.has_ended


@on_loop
async def test_the_stream_of_a_session_goes_on_after_a_break() -> None:
    """What changed meanwhile is told to the next connection, and later changes as well."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.stream(session)
    desk.audience.changed(frozenset({"tools"}))
    told.cancel()
    desk.audience.changed(frozenset({"prompts"}))
    again = desk.stream(session, last_id(told))
    desk.audience.changed(frozenset({"resources"}))
    assert told.methods == ["notifications/tools/list_changed"]
    assert again.methods == [
        "notifications/prompts/list_changed", "notifications/resources/list_changed",
    ]  # fmt: skip


@on_loop
async def test_the_stream_of_a_session_that_stays_away_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later connection opens a new one."""
    monkeypatch.setattr(replay, "RETAIN_S", 0.02)
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    told = desk.stream(session)
    kept = Kept(of_call=False)
    told.cancel()
    kept.broken()
    await eventually(lambda: kept.given_up == 1, "the time to have passed")
    assert len(kept.replays) == 0
    again = desk.stream(session, last_id(told))
    assert last_id(again) not in (None, last_id(told))


@on_loop
async def test_a_stream_of_another_worker_is_resumed_there() -> None:
    """A client that leaves then leaves there."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.stream(desk.session(), "1.3-sabc-4")
    (forwarded,) = desk.peers.forwarded
    assert (forwarded.address, forwarded.request.last_event_id) == ("1.3", "1.3-sabc-4")
    assert forwarded.exchange is told
    assert not told.is_open
    told.cancel()
    assert forwarded.cancelled


@on_loop
async def test_the_stream_of_a_session_whose_worker_is_gone_is_replaced_here() -> None:
    """On the same connection; what was missed nobody knows, so all lists may have changed."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.stream(desk.session(), "0.3-sabc-4")
    desk.peers.forwarded[0].on_gone()
    assert told.methods == [
        f"notifications/{kind}/list_changed" for kind in ("prompts", "resources", "tools")
    ]  # fmt: skip
    desk.audience.changed(frozenset({"tools"}))
    assert told.methods[3:] == ["notifications/tools/list_changed"]
    assert last_id(told).startswith("1.0-s")
    told.cancel()
    assert not desk.peers.forwarded[0].cancelled
    desk.audience.changed(frozenset({"tools"}))
    assert len(told.methods) == 4


@on_loop
async def test_the_stream_of_a_call_whose_worker_is_gone_is_refused() -> None:
    """Its answer will not come; nothing else may seem to be it."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.stream(desk.session(), "0.3-cabc-4")
    desk.peers.forwarded[0].on_gone()
    assert told.only.status == 400
    assert "send the request again" in told.message["error"]["message"]
    assert not told.is_open


@on_loop
async def test_a_worker_that_was_asked_for_a_stream_it_does_not_have_says_so() -> None:
    """It neither passes the request on again nor opens a stream that is not its own."""
    desk = Desk(catalogue("a", tools="x"))
    for strange in ("1.0-sabc-4", "1.3-sabc-4", "1.0-cabc-4"):
        with pytest.raises(InvalidRequest):
            desk.stream(desk.session(), strange, forwarded=True)
    assert desk.peers.forwarded == []


@on_loop
async def test_notifications_of_a_call_are_no_part_of_the_stream_of_the_session() -> None:
    """No message comes on two streams (2025-11-25, basic/transports)."""
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    stream = desk.stream(session)
    told = desk.legacy("tools/call", CALL, session)
    progress(desk, 1)
    desk.post(session, notification("notifications/initialized"))
    assert numbers(told) == [1]
    assert stream.messages == []


@pytest.mark.parametrize(("limit", "value"), [("MAX_ENDED", 2), ("MAX_ENDED_BYTES", 200)])
@on_loop
async def test_streams_that_have_ended_are_bounded(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """In number and in what they hold together; the first to end is the first to go."""
    monkeypatch.setattr(replay, limit, value)
    desk = Desk(catalogue("a", tools="x"))
    session = desk.session()
    streams = []
    for number in range(1, 5):
        streams.append(desk.legacy("tools/call", CALL, session))
        progress(desk, 1, number)
        desk.backends["a"].answer(tool_result("x" * 10))
    for told in streams[:2]:
        with pytest.raises(InvalidRequest):
            desk.stream(session, moved(last_id(told), 0))
    assert desk.stream(session, moved(last_id(streams[3]), 0)).messages[-1] == streams[3].message
