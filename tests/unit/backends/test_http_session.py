"""Our standing with one HTTP server: its era, and one session for all calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendUnreachable,
    NoStream,
)
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp, make_client
from tests.support.http_site import raw_site
from tests.support.loop import eventually, on_loop
from tests.support.messages import MODERN
from tests.support.scripted_server import ScriptedServer, error, result
from tests.support.sink import Sink
from tests.support.streaming_server import StreamingServer

LEGACY_CALL = Outgoing("tools/call", b'{"name":"x"}', Era.LEGACY, "x")
MODERN_CALL = Outgoing("tools/call", b'{"name":"\xc3\xa9"}', Era.MODERN, "é")


@asynccontextmanager
async def session_at(url: str) -> AsyncIterator[HttpSession]:
    """Stand with the server at an address."""
    client, tasks = make_client(), Tasks()
    try:
        yield HttpSession("srv", StreamableHttp(client, "srv", url, {}), 30.0, tasks)
    finally:
        await tasks.cancel_all()
        await client.close()


@asynccontextmanager
async def met(server: ScriptedServer) -> AsyncIterator[HttpSession]:
    """Serve, and stand with it."""
    async with server.open() as url, session_at(url) as session:
        yield session


def who(reply: Envelope) -> str:
    """Return which server answered."""
    return str(json.loads(reply.body)["result"]["from"])


@on_loop
async def test_a_server_without_sessions_is_served_without() -> None:
    """No header is made up."""
    server = ScriptedServer()
    server.keeps_sessions = False
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        await session.close()
    assert all("mcp-session-id" not in headers for _, _, headers in server.requests)
    assert "DELETE" not in [method for method, _, _ in server.requests]


@on_loop
async def test_a_modern_call_needs_no_session_and_names_its_target() -> None:
    """In the headers, encoded where it must be."""
    server = ScriptedServer(modern=True, legacy=False)
    async with met(server) as session:
        assert who(await session.request(MODERN_CALL)) == "srv"
    assert server.requests == [
        ("POST", "tools/call", {
            "mcp-protocol-version": MODERN, "mcp-method": "tools/call",
            "mcp-name": "=?base64?w6k=?=",
        }),
    ]  # fmt: skip


@pytest.mark.parametrize("status", [404, 400])
@on_loop
async def test_a_forgotten_session_is_opened_anew_and_the_call_sent_again(status: int) -> None:
    """Once, for all calls that found it so: none of them ran."""
    server = ScriptedServer()
    server.forgotten_status = status
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        server.sessions.clear()
        replies = await asyncio.gather(*(session.request(LEGACY_CALL) for _ in range(10)))
    assert {who(reply) for reply in replies} == {"srv"}
    assert server.methods.count("initialize") == 2


@on_loop
async def test_a_server_that_forgets_each_session_at_once_is_not_asked_for_ever() -> None:
    """The second refusal is the answer."""
    server = ScriptedServer()
    async with met(server) as session:
        await session.request(LEGACY_CALL)
        server.sessions.clear()
        server.responses = [error(None, -32600, 404), error(None, -32600, 404)]
        reply = await session.request(LEGACY_CALL)
    assert json.loads(reply.body)["error"]["code"] == -32600
    assert server.methods.count("initialize") == 2


@on_loop
async def test_an_error_of_the_server_s_own_is_a_reply() -> None:
    """With any HTTP status."""
    server = ScriptedServer(modern=True)
    async with met(server) as session:
        for status in (200, 400, 404):
            server.responses = [error(1, -32602, status)]
            reply = await session.request(MODERN_CALL)
            assert json.loads(reply.body)["error"]["code"] == -32602


@pytest.mark.parametrize("request_id", [4711, "1"])
@on_loop
async def test_the_answer_to_another_request_is_none(request_id: object) -> None:
    """It is known by our own id alone."""
    server = ScriptedServer(modern=True)
    server.responses = [result(request_id, {})]
    async with met(server) as session:
        with pytest.raises(BackendProtocolError, match="answered another request"):
            await session.request(MODERN_CALL)


@pytest.mark.parametrize(
    ("modern", "legacy", "eras"),
    [(True, False, {Era.MODERN}), (False, True, {Era.LEGACY}), (True, True, set(Era))],
)
@on_loop
async def test_the_probe_finds_out_which_eras_a_server_speaks(
    modern: bool, legacy: bool, eras: set[Era]
) -> None:
    """One of them is enough."""
    async with met(ScriptedServer(modern=modern, legacy=legacy)) as session:
        hello = await session.probe(both=True)
    assert set(hello.eras) == eras
    assert hello.era is (Era.MODERN if modern else Era.LEGACY)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", BackendUnreachable),
     (b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", BackendUnreachable),
     (b"", BackendLost)],
)  # fmt: skip
@on_loop
async def test_an_outage_is_no_verdict_on_the_era(answer: bytes, kind: type[BackendError]) -> None:
    """It is asked again later."""
    async with raw_site(answer) as url, session_at(url) as session:
        with pytest.raises(kind):
            await session.probe(both=True)


@on_loop
async def test_a_server_of_no_era_is_refused() -> None:
    """With what it said to initialize."""
    async with met(ScriptedServer(modern=False, legacy=False)) as session:
        with pytest.raises(BackendProtocolError, match="initialize was refused"):
            await session.probe(both=True)


@on_loop
async def test_a_ping_is_a_request_of_the_era() -> None:
    """Discover for modern servers."""
    server = ScriptedServer(modern=True)
    async with met(server) as session:
        await session.ping(Era.MODERN)
        await session.ping(Era.LEGACY)
    assert (server.methods[0], server.methods[-1]) == ("server/discover", "ping")


def asked(session: HttpSession, outgoing: Outgoing, sink: Sink) -> asyncio.Task[Envelope]:
    """Begin a request whose stream a sink looks on."""
    return asyncio.get_running_loop().create_task(session.request(outgoing, sink))


@pytest.mark.parametrize("outgoing", [LEGACY_CALL, MODERN_CALL])
@on_loop
async def test_what_comes_before_the_response_reaches_the_caller(outgoing: Outgoing) -> None:
    """In order; the response ends it, whatever the server sends after it."""
    server, sink = StreamingServer(modern=outgoing is MODERN_CALL), Sink()
    async with met(server) as session:
        task = asked(session, outgoing, sink)
        stream = await server.stream()
        for number in range(3):
            stream.say({"method": "notifications/progress", "params": {"progress": number}})
        stream.answer({"done": True})
        reply = await task
    assert sink.methods == ["notifications/progress"] * 3
    assert json.loads(reply.body)["result"] == {"done": True}


@on_loop
async def test_a_question_on_a_call_s_stream_is_answered_by_a_post_of_its_own() -> None:
    """On the same session; a ping is our own business."""
    server, sink = StreamingServer(), Sink()
    async with met(server) as session:
        task = asked(session, LEGACY_CALL, sink)
        stream = await server.stream()
        stream.say({"id": "é", "method": "elicitation/create", "params": {}})
        stream.say({"id": 5, "method": "ping"})
        await eventually(lambda: sink.questions, "the question")
        ((question, respond),) = sink.questions
        respond(b'"result":{"action":"accept"}')
        answered = await server.was_posted("accept")
        assert answered == {"jsonrpc": "2.0", "id": "é", "result": {"action": "accept"}}
        await server.was_posted('"id": 5, "result": {}')
        stream.answer({})
        await task
    assert question.method == "elicitation/create"


@on_loop
async def test_a_question_of_a_modern_server_is_not_answered() -> None:
    """It must not ask so; the call goes on."""
    server, sink = StreamingServer(modern=True), Sink()
    async with met(server) as session:
        task = asked(session, MODERN_CALL, sink)
        stream = await server.stream()
        stream.say({"id": 5, "method": "ping"})
        stream.answer({})
        await task
    assert len(server.posted) == 1


@on_loop
async def test_a_stream_that_breaks_off_is_read_on_where_it_ended() -> None:
    """As often as it takes, after the time that the server asks for; nothing comes twice."""
    server, sink = StreamingServer(), Sink()
    async with met(server) as session:
        task = asked(session, LEGACY_CALL, sink)
        stream = await server.stream()
        stream.say(None, "e-0", retry_ms=1)
        stream.say({"method": "notifications/progress", "params": {}}, "e-1")
        stream.end()
        second = await server.stream(2)
        second.end()
        third = await server.stream(3)
        assert [one.headers.get("last-event-id") for one in server.streams] == [None, "e-1", "e-1"]
        assert third.headers["mcp-session-id"] == "srv-1"
        third.say({"method": "notifications/progress", "params": {}}, "e-2")
        third.say({"id": stream.message["id"], "result": {"done": True}}, "e-3")
        assert json.loads((await task).body)["result"] == {"done": True}
    assert len(sink.messages) == 2


@pytest.mark.parametrize(("first", "status"), [("e-1", 404), ("e-1", 405), ("", 200)])
@on_loop
async def test_a_stream_that_cannot_be_read_on_is_a_lost_call(first: str, status: int) -> None:
    """It may have run."""
    server = StreamingServer()
    server.get_status = status
    async with met(server) as session:
        task = asked(session, LEGACY_CALL, Sink())
        stream = await server.stream()
        stream.say(None, first, retry_ms=1)
        stream.end()
        with pytest.raises(BackendLost):
            await task


@on_loop
async def test_a_legacy_server_is_told_of_a_call_that_is_given_up() -> None:
    """To close the stream says nothing there (2025-11-25, basic/transports)."""
    server = StreamingServer()
    async with met(server) as session:
        task = asked(session, LEGACY_CALL, Sink())
        stream = await server.stream()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = await server.was_posted("notifications/cancelled")
        await eventually(lambda: stream.gone, "the end of the stream")
    assert told["params"]["requestId"] == stream.message["id"]


@on_loop
async def test_a_server_is_not_told_of_a_ping_that_is_given_up() -> None:
    """One that had to pause may end its session over that, with all that is under way in it."""
    server = StreamingServer()
    server.streamed.add("ping")
    async with met(server) as session:
        task = asked(session, Outgoing("ping", b"", Era.LEGACY, safe=True), Sink())
        stream = await server.stream()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: stream.gone, "the end of the stream")
        call = asked(session, LEGACY_CALL, Sink())
        (await server.stream(2)).answer({})
        await call
    assert not any(one.get("method") == "notifications/cancelled" for one in server.posted)


@on_loop
async def test_a_modern_server_hears_of_that_by_the_end_of_the_stream() -> None:
    """And by nothing else."""
    server = StreamingServer(modern=True)
    async with met(server) as session:
        task = asked(session, MODERN_CALL, Sink())
        stream = await server.stream()
        task.cancel()
        await eventually(lambda: stream.gone, "the end of the stream")
    assert len(server.posted) == 1


@on_loop
async def test_the_stream_of_a_session_is_followed_to_its_end() -> None:
    """What belongs to no call is heard, and questions that nobody is there for are refused."""
    server, heard = StreamingServer(), list[Envelope]()
    async with met(server) as session:
        task = asyncio.get_running_loop().create_task(session.follow(heard.append))
        stream = await server.stream()
        assert stream.headers["mcp-session-id"] == "srv-1"
        stream.say({"method": "notifications/tools/list_changed"})
        stream.say({"id": 5, "method": "roots/list"})
        await server.was_posted("-32601")
        stream.end()
        await task
        assert [message.method for message in heard] == ["notifications/tools/list_changed"]
        for server.get_status in (405, 501):
            with pytest.raises(NoStream, match="no stream to follow"):
                await session.follow(heard.append)
        assert server.methods.count("initialize") == 1


@pytest.mark.parametrize("status", [404, 400])
@on_loop
async def test_only_a_session_that_was_forgotten_is_opened_anew_for_its_stream(status: int) -> None:
    """A server that refuses the stream alone knows it all the same, as a ping shows."""
    server = StreamingServer()
    async with met(server) as session:
        await session.hello()
        server.get_status = server.forgotten_status = status
        with pytest.raises(BackendLost, match=f"no stream now .HTTP {status}"):
            await session.follow(lambda message: None)
        assert server.methods.count("initialize") == 1
        server.sessions.clear()
        assert not await session.follow(lambda message: None)
    assert server.methods.count("initialize") == 2


@on_loop
async def test_the_stream_of_a_session_that_is_replaced_is_left() -> None:
    """Whoever follows it hears that there is another, even if the server keeps the old one open."""
    server = StreamingServer()
    async with met(server) as session:
        following = asyncio.get_running_loop().create_task(session.follow(lambda message: None))
        stream = await server.stream()
        server.sessions.clear()
        await session.ping(Era.LEGACY)
        assert await following
        await eventually(lambda: stream.gone, "the end of the old stream")


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503])
@on_loop
async def test_a_stream_that_cannot_be_had_now_may_be_there_again_soon(status: int) -> None:
    """A proxy has lost the server for a while, or the one before it has not ended: an outage."""
    server = StreamingServer()
    server.get_status = status
    async with met(server) as session:
        with pytest.raises(BackendLost, match="no stream now"):
            await session.follow(lambda message: None)
