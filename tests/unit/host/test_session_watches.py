"""What legacy sessions watch: how long, and how a new host learns of it."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from only1mcp.host import session_watches, watches
from only1mcp.links.frames import Kind
from only1mcp.links.link import connect, serve
from only1mcp.links.wire import CallFrame
from only1mcp.sessions import watch_book
from tests.support.hosting import Hosted, Worker, hosted
from tests.support.loop import eventually, on_loop

SUBSCRIBE, UNSUBSCRIBE = "resources/subscribe", "resources/unsubscribe"


@pytest.fixture(autouse=True)
def _hear_servers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "only1mcp")


async def ask(
    worker: Worker, session: int, uri: str, method: str = SUBSCRIBE, kind: Kind = Kind.REPLY
) -> Any:
    """Have a resource watched, or no longer; return the answer."""
    params = json.dumps({"uri": uri}).encode()
    worker.send(Kind.CALL, 1, CallFrame("srv", method, params, "legacy", session=session).encode())
    return await worker.got(kind, 1)


async def sync(worker: Worker) -> None:
    """Wait until the host has taken all that was sent before."""
    worker.call(9, "echo")
    await worker.got(Kind.REPLY, 9)


def watched(subject: Hosted) -> dict[str, set[Any]]:
    """Return who watches which resource, as the server is told."""
    (server,) = subject.host._roster
    return {uri: server.watches.holders(uri) for uri in server.watches.uris}


async def _subscribed(caplog: pytest.LogCaptureFixture, *uris: str) -> None:
    """Wait until the server has said that it was asked for these."""
    await eventually(lambda: all(f"subscribed {uri}" in caplog.text for uri in uris), str(uris))


@on_loop
async def test_sessions_whose_clients_have_left_let_go_and_make_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The workers hear of it, and the server; whose client is there goes on."""
    now = [0.0]
    monkeypatch.setattr(session_watches, "monotonic", lambda: now[0])
    monkeypatch.setattr(session_watches, "SWEEP_S", 0.001)
    monkeypatch.setattr(session_watches, "LET_GO_S", 10.0)
    monkeypatch.setattr(watches, "MAX_WATCHED", 2)
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        await ask(worker, 7, "r://1")
        await ask(worker, 8, "r://2")
        assert "too many" in str(await ask(worker, 9, "r://3", kind=Kind.FAILED))
        now[0] = 9.0
        worker.note(alive=[8, 5])
        await sync(worker)
        now[0] = 18.0
        assert await worker.event("let_go") == [7, []]
        assert watched(subject) == {"r://2": {8}}
        await eventually(lambda: "stderr: unsubscribed r://1" in caplog.text, "the server's word")
        await ask(worker, 9, "r://3")
        now[0] = 40.0
        assert sorted([await worker.event("let_go"), await worker.event("let_go")]) == [
            [8, []], [9, []],
        ]  # fmt: skip
        assert watched(subject) == {}


@on_loop
async def test_workers_hear_what_sessions_watch_and_what_no_longer() -> None:
    """Those that come later, too; what the server refuses is none of it."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        for uri in ("r://1", "r://1", "r://2"):
            await ask(worker, 7, uri)
        assert await worker.event("kept") == [7, 0, [["srv", "r://1"]]]
        assert await worker.event("kept") == [7, 0, [["srv", "r://2"]]]
        await ask(worker, 7, "r://1", UNSUBSCRIBE)
        assert await worker.event("let_go") == [7, [["srv", "r://1"]]]
        later = await subject.worker()
        assert await later.event("kept") == [7, 0, [["srv", "r://2"]]]
        worker.note(ended=7)
        assert await later.event("ended") == 7
        latest = await subject.worker()
        await latest.event("settled")
        assert not [frame for frame in latest.frames if "kept" in frame[2]]
        assert watched(subject) == {}


@pytest.mark.parametrize("is_early", [True, False], ids=["before", "after"])
@on_loop
async def test_a_new_host_goes_on_with_what_workers_know(
    is_early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Before its servers start or after; several say the same, and updates may have been missed."""
    async with hosted(start=not is_early) as subject:
        workers = [await subject.worker(), await subject.worker()]
        if not is_early:
            await workers[0].event("settled")
        for worker in workers:
            worker.note(kept=[7, 0, [["srv", "r://1"], ["gone", "r://1"]]])
            assert await worker.event("let_go") == [7, [["gone", "r://1"]]]
        if is_early:
            subject.host.start()
        for worker in workers:
            event = await worker.until(lambda frame: "updated" in frame[2], "the update")
            assert (event["updated"], event["sessions"]) == ("r://1", [7])
        assert caplog.text.count("stderr: subscribed r://1") == 1
        assert watched(subject) == {"r://1": {7}}


@on_loop
async def test_what_was_let_go_or_has_ended_is_not_taken_back_from_who_has_not_heard() -> None:
    """The worker hears of it now; what is watched anew is watched."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        for uri in ("r://1", "r://2"):
            await ask(worker, 7, uri, UNSUBSCRIBE)
            assert await worker.event("let_go") == [7, [["srv", uri]]]
        await ask(worker, 7, "r://2")
        stale = await subject.worker()
        stale.note(kept=[7, 0, [["srv", "r://1"], ["srv", "r://2"]]])
        assert await stale.event("let_go") == [7, [["srv", "r://1"]]]
        subject.ended.add(8, 2_000_000_000, 1_000_000_000)
        stale.note(kept=[8, 0, [["srv", "r://3"]]])
        assert await stale.event("ended") == 8
        assert watched(subject) == {"r://2": {7}}


@on_loop
async def test_the_first_sessions_let_go_at_once_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients cannot make the host grow without end between two looks at who is there."""
    monkeypatch.setattr(watch_book, "MAX_WATCHED", 1)
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        await ask(worker, 7, "r://1")
        await ask(worker, 8, "r://2")
        assert await worker.event("let_go") == [7, []]
        assert watched(subject) == {"r://2": {8}}


@on_loop
async def test_the_host_of_the_next_program_hears_what_workers_hear(tmp_path: Path) -> None:
    """What is known when it comes, then whatever changes."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        await ask(worker, 7, "r://1")
        worker.note(level=3)
        worker.note(level=5)
        await sync(worker)
        async with heir(subject, tmp_path / "heir.sock") as next_one:
            await next_one.event("told")
            assert events(next_one) == [{"kept": [7, 0, [["srv", "r://1"]]]}, {"log_level": 3}]
            await ask(worker, 8, "r://2")
            await ask(worker, 7, "r://1", UNSUBSCRIBE)
            worker.note(level=1)
            worker.note(ended=8)
            await next_one.event("ended")
            assert events(next_one)[2:] == [
                {"kept": [8, 0, [["srv", "r://2"]]]}, {"let_go": [7, [["srv", "r://1"]]]},
                {"log_level": 1},
            ]  # fmt: skip
        later = await subject.worker()
        assert await later.event("log_level") == 1


@pytest.mark.parametrize("is_early", [True, False], ids=["before", "after"])
@on_loop
async def test_what_the_host_before_has_told_is_gone_on_with(
    is_early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Before servers start or after; what was let go at the one before is let go here."""
    async with hosted(start=not is_early) as subject:
        worker = await subject.worker()
        inherit = subject.host.sessions.inherit
        subject.ended.add(6, 2_000_000_000, 1_000_000_000)
        if not is_early:
            await worker.event("settled")
        for serial, uri in ((6, "r://1"), (7, "r://1"), (7, "r://2"), (8, "r://2"), (9, "r://3")):
            inherit({"kept": [serial, 0, [["srv", uri], ["gone", uri]]]})
        inherit({"let_go": [9, [["srv", "r://3"], ["gone", "r://3"]]]})
        inherit({"what": "a later program may say"})
        if is_early:
            subject.host.start()
            await worker.event("settled")
        await _subscribed(caplog, "r://1", "r://2")
        inherit({"let_go": [8, []]})  # its client has not been seen, there
        inherit({"let_go": [7, [["srv", "r://1"]]]})
        assert await worker.event("kept") == [7, 0, [["srv", "r://1"]]]
        assert await worker.event("let_go") == [9, [["srv", "r://3"]]]
        await eventually(lambda: watched(subject) == {"r://2": {7, 8}}, "what is left")
        await eventually(lambda: "stderr: unsubscribed r://1" in caplog.text, "the server's word")
        inherit({"ended": 7})
        assert await worker.event("ended") == 7
        assert watched(subject) == {"r://2": {8}}


@on_loop
async def test_a_session_with_a_connection_of_its_own_goes_on_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server is asked again on it; what was let go meanwhile is not told of any more."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        subject.host.sessions.inherit({"kept": [7, 8, [["srv", "r://1"], ["srv", "r://2"]]]})
        await _subscribed(caplog, "r://1", "r://2")
        subject.host.sessions.inherit({"let_go": [7, [["srv", "r://1"]]]})
        (server,) = subject.host._roster
        assert server.pool.watches.uris(7) == ["r://2"]
        await eventually(lambda: "stderr: unsubscribed r://1" in caplog.text, "the server's word")


@pytest.mark.parametrize("features", [0, 8], ids=["shared", "own"])
@pytest.mark.parametrize("is_early", [True, False], ids=["before", "after"])
@on_loop
async def test_what_was_let_go_at_the_host_before_and_watched_anew_is_watched(
    is_early: bool, features: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells in order; but what a client lets go here it does not know of."""
    place = ["srv", "r://1"]
    async with hosted(start=not is_early) as subject:
        worker = await subject.worker()
        inherit = subject.host.sessions.inherit
        if not is_early:
            await worker.event("settled")
            await ask(worker, 7, "r://2", UNSUBSCRIBE)
            assert await worker.event("let_go") == [7, [["srv", "r://2"]]]
        for event in ({"kept": [7, features, [place]]}, {"let_go": [7, [place]]}):
            inherit(event)
        places = [place] if is_early else [place, ["srv", "r://2"]]
        inherit({"kept": [7, features, places]})
        if is_early:
            subject.host.start()
        await eventually(lambda: "stderr: subscribed r://1" in caplog.text, "the server's word")
        await sync(worker)
        (server,) = subject.host._roster
        uris = server.pool.watches.uris(7) if features else list(watched(subject))
        assert uris == ["r://1"]
        known = [one for one in events(worker) if "kept" in one or "let_go" in one]
        kept = {"kept": [7, features, [place]]}
        assert known == [kept, {"let_go": [7, [place]]}, kept]


@on_loop
async def test_what_a_server_refuses_to_tell_of_again_is_forgotten_everywhere() -> None:
    """By the workers that know of it, too, and those that come."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        subject.host.sessions.inherit({"kept": [7, 0, [["srv", "r://none"]]]})
        assert await worker.event("kept") == [7, 0, [["srv", "r://none"]]]
        assert await worker.event("let_go") == [7, [["srv", "r://none"]]]
        assert watched(subject) == {}
        later = await subject.worker()
        await later.event("settled")
        assert not [event for event in events(later) if "kept" in event]


@on_loop
async def test_what_a_server_refuses_at_its_start_is_forgotten_when_its_client_asks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until then it is asked at each start: its client has not taken its wish back."""
    place = ["srv", "r://none"]
    async with hosted(start=False) as subject:
        worker = await subject.worker()
        subject.host.sessions.inherit({"kept": [7, 0, [place]]})
        subject.host.start()
        await eventually(lambda: "not watched now" in caplog.text, "the server's refusal")
        assert watched(subject) == {"r://none": {7}}
        await ask(worker, 7, "r://none", kind=Kind.FAILED)
        assert await worker.event("let_go") == [7, [place]]
        assert watched(subject) == {}


@on_loop
async def test_a_server_that_does_not_say_whether_it_tells_again_is_asked_when_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have ended just then: the next one is asked."""
    uri = f"stumble:{tmp_path / 'mark'}"
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        subject.host.sessions.inherit({"kept": [7, 0, [["srv", uri]]]})
        await eventually(lambda: f"stderr: subscribed {uri}" in caplog.text, "the next one's word")
        assert watched(subject) == {uri: {7}}
        assert not [event for event in events(worker) if "let_go" in event]


@asynccontextmanager
async def heir(subject: Hosted, path: Path) -> AsyncIterator[Worker]:
    """Let the host of a next program come, for the time of a block."""
    served = await serve(path, subject.host.sessions.heir)
    one = Worker()
    one.link = await connect(path, one.make)
    try:
        yield one
    finally:
        one.close()
        await eventually(lambda: one.is_gone, "its end")
        served.close()


def events(heard: Worker) -> list[Any]:
    """Return the events that came."""
    return [event for _, _, event in heard.frames]
