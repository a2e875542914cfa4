"""Real event streams on loopback: where to post, in which order, and every way of ending."""

import asyncio
import json

import pytest

from only1mcp.transports import legacy_sse, remote_channel, sse_stream
from tests.support.loop import eventually, on_loop
from tests.support.messages import legacy, notification
from tests.support.ports import free_port
from tests.support.sse_site import SseSite, sse_channel

LONG_S = 20.0
CALL = legacy("tools/call", {"name": "x"}, request_id=7)
RESULT = b'{"jsonrpc":"2.0","id":7,"result":{}}'
INITIALIZED = notification("notifications/initialized")
CANCEL = notification("notifications/cancelled", {"requestId": 7})
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: /m\n\n"
PONG = b'{"jsonrpc":"2.0","id":"s","result":{}}'


@on_loop
async def test_the_stream_is_asked_for_and_messages_are_posted_as_they_are() -> None:
    """With our headers on both; whatever the server adds to its 202 is of no interest."""
    site = SseSite()
    async with site.open() as url, sse_channel(url, {"X-Key": "k"}) as (subject, heard):
        assert subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
        await site.say(RESULT)
        await eventually(lambda: heard.lines, "the response")
    assert site.paths == ["GET /mcp", "POST /message?sessionId=1"]
    assert (site.posted, heard.lines) == ([CALL], [RESULT])
    assert site.headers[0]["accept"] == "text/event-stream"
    assert site.headers[1]["content-type"] == "application/json"
    assert [headers["x-key"] for headers in site.headers] == ["k", "k"]


@on_loop
async def test_a_notification_overtakes_nothing_and_nothing_overtakes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that has not read `initialized` refuses what comes after it."""
    monkeypatch.setattr(legacy_sse, "SETTLE_S", LONG_S)
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, _), sse_channel(url) as (other, _):

        async def arrived(number: int) -> list[bytes]:
            """Return what has arrived once a message that nothing holds up has."""
            mark = legacy("ping", request_id=f"mark {number}")
            other.write(mark)
            await eventually(lambda: mark in site.posted, "the mark")
            return [message for message in site.posted if b"mark" not in message]

        for message in (CALL, INITIALIZED, PONG, CALL):
            assert subject.write(message)
        await eventually(lambda: CALL in site.posted, "the call")
        assert await arrived(1) == [CALL]
        site.answer_next()
        await eventually(lambda: INITIALIZED in site.posted, "the notification")
        assert await arrived(2) == [CALL, INITIALIZED]
        site.answer_all()
        await eventually(lambda: site.posted.count(CALL) == 2, "the rest")
        await eventually(lambda: PONG in site.posted, "the rest")


@on_loop
async def test_a_notification_waits_no_longer_than_a_message_takes_to_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some servers answer the POST of a call when the call ends."""
    monkeypatch.setattr(legacy_sse, "SETTLE_S", 0.01)
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, _):
        for message in (CALL, INITIALIZED, PONG):
            assert subject.write(message)
            await eventually(lambda message=message: message in site.posted, "it")  # type: ignore[misc]
        site.answer_all()


@on_loop
async def test_calls_cancellations_and_answers_wait_for_no_other_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the server holds the POST of each."""
    monkeypatch.setattr(legacy_sse, "SETTLE_S", 10 * LONG_S)
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, heard):
        sent = [*(legacy("ping", request_id=number) for number in range(20)), CANCEL, PONG]
        for message in sent:
            assert subject.write(message)
        await eventually(lambda: len(site.posted) == len(sent), "all of them")
        assert sorted(site.posted) == sorted(sent)
        assert heard.exits == []
        site.answer_all()


@pytest.mark.parametrize("status", [200, 202, 204])
@on_loop
async def test_a_message_that_was_taken_needs_no_answer(status: int) -> None:
    """The response comes on the stream, if at all."""
    site = SseSite()
    site.statuses = [status]
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await subject.stop(LONG_S)
    assert (site.posted, heard.lines) == ([CALL], [])


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 32005), (403, 32005), (413, 32005), (307, 32005), (500, 32003), (503, 32003)],
)
@on_loop
async def test_a_refused_request_fails_alone(status: int, code: int) -> None:
    """No response to it will come; other calls on the channel go on."""
    site = SseSite()
    site.statuses = [status]
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: heard.lines, "the failure")
        failure = json.loads(heard.lines[0])
        assert failure == {
            "jsonrpc": "2.0", "id": 7,
            "error": {"code": code, "message": f"server srv refused a message (HTTP {status})"},
        }  # fmt: skip
        site.echoes = True
        subject.write(CALL)
        await eventually(lambda: len(heard.lines) == 2, "the next call")
        assert heard.exits == []
    assert site.paths[1:] == ["POST /message?sessionId=1"] * 2, "no redirect is followed"


@on_loop
async def test_a_request_that_is_refused_early_is_not_sent_to_its_end() -> None:
    """A server need not take all of a message that is too long for it."""
    size = 64_000_000
    failed = asyncio.Event()
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET"):
            writer.write(STREAM)
        else:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await failed.wait()
        while chunk := await reader.read(1_000_000):
            taken += len(chunk)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/sse"
    async with server, sse_channel(url) as (subject, heard):
        subject.write(legacy("tools/call", {"text": "x" * size}))
        await eventually(lambda: heard.lines, "the failure")
        failed.set()
        await subject.stop(LONG_S)
    assert 0 < taken < size


@pytest.mark.parametrize("message", [INITIALIZED, PONG])
@on_loop
async def test_another_message_that_is_refused_is_logged(
    message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for a response to it."""
    site = SseSite()
    site.statuses = [400]
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(message)
        await eventually(lambda: "refused a message (HTTP 400)" in caplog.text, "the log")
        subject.write(CALL)
        await eventually(lambda: len(site.posted) == 2, "the next call")
        assert (heard.lines, heard.exits) == ([], [])


@pytest.mark.parametrize("status", [401, 404, 410])
@on_loop
async def test_a_session_that_is_refused_is_over(status: int) -> None:
    """Every other message would be refused too: better open another."""
    site = SseSite()
    site.statuses = [status]
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: heard.exits, "its end")
        assert subject.write(CALL) is False
        await eventually(lambda: site.streams == [], "the stream to be let go")
    assert (heard.lines, heard.exits) == ([], [f"refused our session (HTTP {status})"])


@on_loop
async def test_a_post_whose_connection_breaks_fails_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may have run, so a response is waited for a little."""
    monkeypatch.setattr(legacy_sse, "SETTLE_S", 0.05)
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
        assert site.requests[-1].transport is not None
        site.requests[-1].transport.close()
        await eventually(lambda: heard.lines, "the failure")
        assert json.loads(heard.lines[0])["error"]["code"] == 32003
        assert heard.exits == []
        site.answer_all()


@on_loop
async def test_calls_whose_server_dies_fail_with_the_channel() -> None:
    """Its POSTs break as well, yet that is not what happened."""
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
        for request in reversed(site.requests):
            assert request.transport is not None
            request.transport.abort()
        await eventually(lambda: heard.exits, "its end")
    assert (heard.lines, heard.exits) == ([], ["broke off the event stream"])


@on_loop
async def test_a_post_that_is_never_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request fails, long after everybody has stopped waiting for it."""
    monkeypatch.setattr(legacy_sse, "POST_S", 0.05)
    monkeypatch.setattr(legacy_sse, "SETTLE_S", 0.05)
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: heard.lines, "the failure")
        assert "did not answer the POST" in json.loads(heard.lines[0])["error"]["message"]
        assert heard.exits == []
        site.answer_all()


@on_loop
async def test_a_server_that_accepts_no_connection_any_more_is_gone() -> None:
    """Although its stream looks open still."""
    port = free_port()
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.close()
        writer.write(STREAM)
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with sse_channel(f"http://127.0.0.1:{port}/sse") as (subject, heard):
        assert subject.write(CALL)
        await eventually(lambda: heard.exits, "its end")
    assert heard.exits == ["can no longer be reached"]
    await eventually(closed.is_set, "the stream to be let go")


@on_loop
async def test_the_end_of_the_stream_is_the_end_of_the_channel() -> None:
    """What came before it is heard."""
    site = SseSite()
    async with site.open() as url, sse_channel(url) as (subject, heard):
        await site.say(RESULT)
        site.end()
        await eventually(lambda: heard.exits, "its end")
        assert subject.write(CALL) is False
    assert (heard.lines, heard.exits) == ([RESULT], ["ended the event stream"])


@on_loop
async def test_a_stream_that_breaks_off_is_noticed() -> None:
    """And told apart from one that ended."""
    site = SseSite()
    async with site.open() as url, sse_channel(url) as (_, heard):
        site.break_off()
        await eventually(lambda: heard.exits, "its end")
    assert heard.exits == ["broke off the event stream"]


@on_loop
async def test_an_over_long_event_ends_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than the gateway's memory."""
    monkeypatch.setattr(legacy_sse, "MAX_MESSAGE_BYTES", 1000)
    monkeypatch.setattr(sse_stream, "MAX_MESSAGE_BYTES", 1000)
    site = SseSite()
    async with site.open() as url, sse_channel(url) as (_, heard):
        await site.say(b"x" * 900)
        await eventually(lambda: heard.lines, "the event")
        await site.send(b"data: " + b"x" * 2000)
        await eventually(lambda: heard.exits, "its end")
    assert (heard.lines, heard.exits) == ([b"x" * 900], ["sent an event of more than 1000 bytes"])


@on_loop
async def test_a_server_that_takes_nothing_is_not_written_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what was sent counts until the server has said that it has it."""
    monkeypatch.setattr(remote_channel, "MAX_UNSENT_BYTES", 100_000)
    site = SseSite()
    site.holds = True
    large = legacy("ping", {"text": "x" * 60_000})
    async with site.open() as url, sse_channel(url) as (subject, _):
        assert subject.write(large)
        await eventually(lambda: site.posted, "the first")
        assert subject.write(large)
        assert subject.write(large) is False
        site.answer_all()
        await eventually(lambda: subject.write(CALL), "room")


@on_loop
async def test_stopping_posts_everything_and_lets_the_stream_go() -> None:
    """The answers to the last messages are waited for."""
    site = SseSite()
    site.echoes = True
    calls = [legacy("ping", request_id=number) for number in range(50)]
    async with site.open() as url, sse_channel(url) as (subject, heard):
        for call in calls:
            assert subject.write(call)
        await subject.stop(LONG_S)
        await eventually(lambda: site.streams == [], "the stream to be let go")
    assert sorted(heard.lines) == sorted(calls)
    assert heard.exits == ["was disconnected"]


@on_loop
async def test_a_server_that_holds_its_answers_does_not_hold_up_the_end() -> None:
    """After the time of grace we hang up."""
    site = SseSite()
    site.holds = True
    async with site.open() as url, sse_channel(url) as (subject, heard):
        subject.write(CALL)
        await eventually(lambda: site.posted, "the message")
        await subject.stop(0.02)
        assert heard.exits == ["was disconnected"]
        await eventually(lambda: site.streams == [], "the stream to be let go")
        site.answer_all()
