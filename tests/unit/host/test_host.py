"""The host with real servers, and workers that the test plays over real links."""

import json
import logging
from typing import Any

import pytest

from only1mcp.host import watching
from only1mcp.links.frames import Kind
from only1mcp.links.wire import CallFrame, encode_numbered
from only1mcp.protocol.client_features import Feature
from tests.support.hosting import hosted
from tests.support.loop import eventually, on_loop

FORM = int(Feature.ELICIT_FORM)


@pytest.fixture(autouse=True)
def _hear_servers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "only1mcp")


@on_loop
async def test_a_worker_hears_what_is_known_as_soon_as_it_comes() -> None:
    """Whether it comes before or after the servers are up."""
    async with hosted() as subject:
        for _ in range(2):
            worker = await subject.worker()
            assert (await worker.event("catalogue"))["server_id"] == "srv"
            assert await worker.event("settled") is True


@on_loop
async def test_a_call_is_answered_on_the_link_it_came_from() -> None:
    """Each under its own token; nothing of it stays behind."""
    async with hosted() as subject:
        first, second = await subject.worker(), await subject.worker()
        first.call(5, "echo")
        second.call(5, "update", uri="r://1")
        for worker, text in ((first, "echo"), (second, "update")):
            reply = await worker.got(Kind.REPLY, 5)
            assert reply["result"]["content"][0]["text"] == text
        await eventually(lambda: subject.remembered == 0, "all to be forgotten")


@on_loop
async def test_a_server_that_is_not_there_is_a_failure() -> None:
    """It is of another edition of the configuration, perhaps."""
    async with hosted() as subject:
        worker = await subject.worker()
        worker.send(Kind.CALL, 1, CallFrame("other", "tools/call", b"{}", "legacy").encode())
        assert "other is not run here" in str(await worker.got(Kind.FAILED, 1))
        assert subject.remembered == 0


@on_loop
async def test_a_question_goes_to_the_worker_and_its_answer_to_the_server() -> None:
    """An answer counts once; one to nothing does no harm."""
    async with hosted() as subject:
        worker = await subject.worker()
        worker.call(1, "ask", features=FORM, session=7)
        number, question = await worker.got(Kind.ASK, 1)
        assert question["method"] == "elicitation/create"
        worker.send(Kind.RESPOND, 1, encode_numbered(number + 1, b'"result":{"wrong":1}'))
        worker.send(Kind.RESPOND, 9, encode_numbered(number, b'"result":{"wrong":1}'))
        for _ in range(2):
            worker.send(Kind.RESPOND, 1, encode_numbered(number, b'"result":{"action":"accept"}'))
        reply = await worker.got(Kind.REPLY, 1)
        assert reply["result"]["content"][0]["text"] == '{"action": "accept"}'
        assert subject.remembered == 0


@on_loop
async def test_a_call_that_is_cancelled_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """The server is told."""
    async with hosted() as subject:
        worker = await subject.worker()
        worker.call(1, "slow")
        await eventually(lambda: "stderr: slow" in caplog.text, "the call")
        worker.send(Kind.CANCEL, 1)
        worker.send(Kind.CANCEL, 1)
        worker.send(Kind.CANCEL, 2)
        await eventually(lambda: "notifications/cancelled" in caplog.text, "the cancellation")
        assert subject.remembered == 0


@on_loop
async def test_the_calls_of_a_worker_that_dies_are_cancelled_and_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the questions that nobody will answer; other workers' calls go on."""
    async with hosted() as subject:
        dying, other = await subject.worker(), await subject.worker()
        dying.call(1, "slow")
        dying.call(2, "ask", features=FORM, session=7)
        other.call(1, "ask", features=FORM, session=8)
        await dying.got(Kind.ASK, 2)
        number, _ = await other.got(Kind.ASK, 1)
        await eventually(lambda: "stderr: slow" in caplog.text, "the call to arrive")
        dying.close()
        await eventually(lambda: subject.remembered == 2, "the calls to be forgotten")
        await eventually(
            lambda: caplog.text.count("notifications/cancelled") == 2, "the cancellations"
        )
        other.send(Kind.RESPOND, 1, encode_numbered(number, b'"result":{}'))
        await other.got(Kind.REPLY, 1)


@on_loop
async def test_a_watched_resource_is_told_of_to_all_workers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the sessions that watch it; upstream it is subscribed to once."""
    async with hosted() as subject:
        worker, other = await subject.worker(), await subject.worker()
        await worker.event("settled")
        worker.note(watch=["srv", "r://1", 1])
        other.note(watch=["srv", "r://1", 1])
        params = b'{"uri":"r://1"}'
        for token, session in ((1, 7), (2, 8)):
            frame = CallFrame("srv", "resources/subscribe", params, "legacy", session=session)
            worker.send(Kind.CALL, token, frame.encode())
            assert (await worker.got(Kind.REPLY, token))["result"] == {}
        worker.call(3, "update", uri="r://1")
        for each in (worker, other):
            event = await each.until(lambda frame: "updated" in frame[2], "the update")
            assert (event["updated"], sorted(event["sessions"])) == ("r://1", [7, 8])
            assert json.loads(event["params"]) == {"uri": "r://1"}
        assert caplog.text.count("stderr: subscribed r://1") == 1
        assert subject.remembered == 0


@on_loop
async def test_what_a_server_says_on_a_worker_s_call_is_told_to_all_workers() -> None:
    """As if the host had heard it itself."""
    async with hosted() as subject:
        worker, other = await subject.worker(), await subject.worker()
        await worker.event("settled")
        frame = CallFrame("srv", "resources/subscribe", b'{"uri":"r://1"}', "legacy", session=7)
        worker.send(Kind.CALL, 1, frame.encode())
        await worker.got(Kind.REPLY, 1)
        worker.note(aside=["srv", [], ["r://1"]])
        for each in (worker, other):
            event = await each.until(lambda frame: "updated" in frame[2], "the update")
            assert (event["updated"], event["sessions"]) == ("r://1", [7])


@on_loop
async def test_a_session_watches_only_so_many_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared connection and on its own together; what it watches it may ask for again."""
    monkeypatch.setattr(watching, "MAX_URIS", 3)
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")

        async def ask(token: int, uri: str, kind: Kind, features: int = 0) -> Any:
            params = json.dumps({"uri": uri}).encode()
            frame = CallFrame("srv", "resources/subscribe", params, "legacy", features, 7)
            worker.send(Kind.CALL, token, frame.encode())
            return await worker.got(kind, token)

        await ask(1, "r://1", Kind.REPLY)
        await ask(2, "r://2", Kind.REPLY)
        await ask(3, "r://3", Kind.REPLY, FORM)
        for token, features in ((4, 0), (5, FORM)):
            refused = await ask(token, "r://4", Kind.FAILED, features)
            assert "this session watches 3 resources" in str(refused)
            assert "resources/unsubscribe" in refused.hint
        await ask(6, "r://1", Kind.REPLY)
        await ask(7, "r://3", Kind.REPLY, FORM)


@on_loop
async def test_what_nobody_watches_any_more_is_unsubscribed_from(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whether a stream says so, its worker dies, or the session is ended."""
    async with hosted() as subject:
        worker, dying = await subject.worker(), await subject.worker()
        await worker.event("settled")
        worker.note(watch=["srv", "r://1", 1])
        dying.note(watch=["srv", "r://2", 1])
        frame = CallFrame("srv", "resources/subscribe", b'{"uri":"r://3"}', "legacy", session=7)
        worker.send(Kind.CALL, 1, frame.encode())
        await eventually(lambda: caplog.text.count("stderr: subscribed") == 3, "the watches")
        worker.note(unwatch=["srv", "r://1", 1])
        dying.close()
        worker.note(ended=7)
        for number in (1, 2, 3):
            text = f"stderr: unsubscribed r://{number}"
            await eventually(lambda text=text: text in caplog.text, text)  # type: ignore[misc]


@on_loop
async def test_what_is_watched_while_the_server_is_down_is_watched_when_it_is_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And not what was left again meanwhile; a session is told that it cannot be watched now."""
    async with hosted(start=False) as subject:
        worker = await subject.worker()
        worker.note(watch=["srv", "r://1", 1])
        worker.note(watch=["srv", "r://2", 1])
        worker.note(unwatch=["srv", "r://2", 1])
        for token, method in ((1, "resources/subscribe"), (2, "resources/unsubscribe")):
            frame = CallFrame("srv", method, b'{"uri":"r://3"}', "legacy", session=7)
            worker.send(Kind.CALL, token, frame.encode())
        assert "server srv is starting" in str(await worker.got(Kind.FAILED, 1))
        assert (await worker.got(Kind.REPLY, 2))["result"] == {}
        subject.host.start()
        await eventually(lambda: "stderr: subscribed r://1" in caplog.text, "the watch")
        assert caplog.text.count("subscribed") == 1


@on_loop
async def test_a_log_message_of_no_call_is_told_to_all_workers() -> None:
    """Their streams may want it."""
    async with hosted() as subject:
        worker, other = await subject.worker(), await subject.worker()
        worker.call(1, "slow")
        worker.call(2, "log")
        for each in (worker, other):
            assert json.loads(await each.event("logged"))["data"] == "x"


@on_loop
async def test_what_clients_with_features_are_offered_is_found_out_when_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for all workers, whose clients wait for it; then it is known to whoever comes."""
    async with hosted() as subject:
        worker = await subject.worker()
        await worker.event("settled")
        for _ in range(2):
            worker.note(learn=str(FORM))
        event = await worker.until(lambda frame: "variant" in frame[2], "the offer")
        assert event["variant"] == FORM
        assert [name for name, _ in event["catalogue"]["tools"]] == ["echo", "ask"]
        assert [await worker.event("learned") for _ in range(2)] == [str(FORM)] * 2
        late = await subject.worker()
        assert await late.event("variant") == FORM
        assert caplog.text.count("initialized ['elicitation']") == 1


@on_loop
async def test_a_server_that_comes_late_is_asked_what_was_asked_before_it_came() -> None:
    """The clients that waited have gone on by then; the next ones see it."""
    async with hosted(start=False) as subject:
        worker = await subject.worker()
        worker.note(learn=str(FORM))
        assert await worker.event("learned") == str(FORM)
        subject.host.start()
        assert await worker.event("variant") == FORM


@on_loop
async def test_the_second_era_of_servers_is_asked_for_too() -> None:
    """There may be none to ask."""
    async with hosted() as subject:
        worker = await subject.worker()
        worker.note(learn="legacy")
        assert await worker.event("learned") == "legacy"


@on_loop
async def test_a_session_s_server_hears_of_its_client_s_roots(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one that serves this session; when the session ends, so does that."""
    async with hosted() as subject:
        worker = await subject.worker()
        worker.call(1, "echo", features=FORM, session=7)
        await worker.got(Kind.REPLY, 1)
        assert len(subject.host.child_pids()) == 2
        worker.note(roots=8)
        worker.note(roots=7)
        await eventually(lambda: "notifications/roots/list_changed" in caplog.text, "the news")
        assert caplog.text.count("roots/list_changed") == 1
        worker.note(ended=7)
        await eventually(lambda: len(subject.host.child_pids()) == 1, "the end of its process")
