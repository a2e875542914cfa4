"""A session with a legacy HTTP server that is one client's: what comes on its own stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.host.http_member import HttpMember
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.task_members import RELATED, STATUS
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Instance, Server
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import make_client
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.support.sink import Sink

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}}
RESULT = Outgoing("tasks/result", b'{"taskId":"t1"}', Era.LEGACY)
LIST = Outgoing("tasks/list", b"", Era.LEGACY)


class Site:
    """A server that answers only when it is told to, and says on its stream what it is told to."""

    def __init__(self, session: str | None) -> None:
        self.asked: list[str] = []
        self.told: list[Any] = []
        """The answers to what it asked, and cancellations."""
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        """None ends the stream."""
        self.said_on_call: list[dict[str, Any]] = []
        self.answers = asyncio.Event()
        self.session = session
        """The one that it knows."""
        self.outages: list[int] = []
        """How the next streams are refused."""
        self.followed = 0
        """How often a stream was asked for."""

    def say(self, **message: Any) -> None:
        """Say something on the stream."""
        self.said.put_nowait(b"data: %b\n\n" % json.dumps({"jsonrpc": "2.0", **message}).encode())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        message = json.loads(await request.read() or b"{}")
        headers = {} if self.session is None else {"Mcp-Session-Id": self.session}
        opens = message.get("method") == "initialize"
        if not opens and request.headers.get("Mcp-Session-Id") != self.session:
            return web.Response(status=404)
        if request.method == "GET":
            return await self._stream(request)
        if opens:
            body = {"jsonrpc": "2.0", "id": message["id"], "result": HELLO}
            return web.json_response(body, headers=headers)
        if "method" not in message or message["method"] == "notifications/cancelled":
            self.told.append(message)
        if "id" not in message or "method" not in message:
            return web.Response(status=202)
        self.asked.append(message["method"])
        await self.answers.wait()
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tasks": [1]}}
        if not self.said_on_call:
            return web.json_response(answer)
        events = [*({"jsonrpc": "2.0", **one} for one in self.said_on_call), answer]
        text = "".join(f"data: {json.dumps(one)}\n\n" for one in events)
        return web.Response(text=text, content_type="text/event-stream")

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        self.followed += 1
        if self.outages:
            return web.Response(status=self.outages.pop(0))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while (said := await self.said.get()) is not None:
            await response.write(said)
        return response


class Subject:
    """The session, its server, and what was said to the client without a call."""

    def __init__(self, site: Site, member: HttpMember) -> None:
        self.site = site
        self.member = member
        self.told: list[str | None] = []
        self.turns = 0
        member.tell = lambda message: self.told.append(message.method)
        member.turned = self._turn

    def _turn(self) -> None:
        self.turns += 1

    def call(self, outgoing: Outgoing) -> Sink:
        """Send a request."""
        sink = Sink()
        self.member.call(outgoing, sink)
        return sink

    async def reached(self, *methods: str) -> None:
        """Wait until the server was asked for these."""
        await eventually(lambda: self.site.asked == list(methods), f"{methods} to arrive")


@asynccontextmanager
async def session(
    session_id: str | None = "s1", outages: Sequence[int] = ()
) -> AsyncIterator[Subject]:
    """Open a session for the time of a block."""
    site, client, tasks = Site(session_id), make_client(), Tasks()
    site.outages.extend(outages)
    async with http_site(site.handle) as url:
        server = Server("srv", "http", "srv", instances=(Instance(url),))
        member = HttpMember(server, client, Feature.ELICIT_FORM, tasks)
        try:
            yield Subject(site, member)
        finally:
            await member.stop()
            await tasks.cancel_all()
            await client.close()


@on_loop
async def test_progress_goes_to_the_call_with_its_token_and_else_to_the_client() -> None:
    """A task makes progress when its call has long been answered."""
    async with session() as subject:
        named = subject.call(Outgoing("tools/call", b"{}", Era.LEGACY, token=b'"o1"'))
        other = subject.call(Outgoing("tools/call", b"{}", Era.LEGACY))
        await subject.reached("tools/call", "tools/call")
        for token in ("o1", "o2"):
            subject.site.say(method="notifications/progress", params={"progressToken": token})
        subject.site.say(method=STATUS, params={"taskId": "t1"})
        await eventually(lambda: len(subject.told) == 2, "what is for the client")
        assert subject.told == ["notifications/progress", STATUS]
        assert (len(named.messages), len(other.messages)) == (1, 0)


@on_loop
async def test_who_was_asked_hears_that_the_question_is_taken_back() -> None:
    """The other calls do not."""
    async with session() as subject:
        calls = [subject.call(Outgoing("tools/call", b"{}", Era.LEGACY)) for _ in range(2)]
        await subject.reached("tools/call", "tools/call")
        subject.site.say(id=1, method="roots/list")
        subject.site.say(method="notifications/cancelled", params={"requestId": 1})
        await eventually(lambda: calls[1].messages, "the cancellation")
        assert (calls[0].messages, subject.told) == ([], [])


@on_loop
async def test_a_question_outlives_the_call_that_it_was_put_to() -> None:
    """It goes to a call that waits; after the last one the server hears that nobody is there."""
    async with session() as subject:
        sinks = [Sink(), Sink()]
        cancels = [
            subject.member.call(Outgoing("tools/call", b"{}", Era.LEGACY), sink) for sink in sinks
        ]
        await subject.reached("tools/call", "tools/call")
        subject.site.say(id="q", method="roots/list")
        await eventually(lambda: sinks[1].questions, "the question")
        cancels[1]()
        await eventually(lambda: sinks[0].questions, "the question at the other call")
        assert [message.id for message, _ in sinks[0].questions] == [b'"q"']
        cancels[0]()
        await eventually(lambda: len(subject.site.told) == 3, "the refusal")
        cancelled = "notifications/cancelled"
        assert [told.get("method") for told in subject.site.told] == [cancelled, cancelled, None]
        assert subject.site.told[2]["error"]["code"] == 32006


@on_loop
async def test_a_question_of_a_task_is_asked_with_the_task_s_result() -> None:
    """It waits until somebody waits for that, whatever else is called meanwhile."""
    async with session() as subject:
        subject.member.keep_questions()
        poll = subject.call(Outgoing("tasks/get", b'{"taskId":"t1"}', Era.LEGACY))
        await subject.reached("tasks/get")
        related = {"message": "?", "_meta": {RELATED: {"taskId": "t1"}}}
        subject.site.say(id=1, method="elicitation/create", params=related)
        subject.site.say(id=2, method="elicitation/create", params={"message": "?"})
        await eventually(lambda: poll.questions, "the other question")
        result = subject.call(RESULT)
        assert [message.id for message, _ in poll.questions] == [b"2"]
        assert [message.id for message, _ in result.questions] == [b"1"]


@pytest.mark.parametrize(("session_id", "tasks"), [("s1", [1]), (None, [])])
@on_loop
async def test_a_server_without_sessions_is_not_asked_whose_tasks_are_whose(
    session_id: str | None, tasks: list[int]
) -> None:
    """It would list those of all clients."""
    async with session(session_id) as subject:
        subject.site.answers.set()
        await subject.member.hello()
        sink = subject.call(LIST)
        await eventually(lambda: sink.heard, "the list")
        (reply,) = sink.heard
        assert isinstance(reply, Envelope)
        assert json.loads(reply.body)["result"] == {"tasks": tasks}
        assert len(subject.site.asked) == len(tasks)


@on_loop
async def test_a_session_goes_on_with_the_next_instance_when_its_own_is_gone() -> None:
    """With its stream, and for all its calls; while one instance lives none fails."""
    sites, client, tasks = [Site("s1"), Site("s2")], make_client(), Tasks()
    async with http_site(sites[1].handle) as second:
        async with http_site(sites[0].handle) as first:
            places = (Instance(first), Instance(second))
            server = Server("srv", "http", "srv", instances=places)
            members = [HttpMember(server, client, Feature.ROOTS, tasks, n) for n in range(2)]
            for member in members:
                await member.hello()
            for site in sites:
                site.answers.set()
        for member in members:
            sinks = [Sink(), Sink()]
            for sink in sinks:
                member.call(Outgoing("tools/call", b"{}", Era.LEGACY), sink)
            await eventually(lambda: all(sink.heard for sink in sinks), "the answers")  # noqa: B023
            assert all(isinstance(sink.heard[0], Envelope) for sink in sinks)
        assert (sites[0].asked, len(sites[1].asked)) == ([], 4)
        for member in members:
            await member.stop()
    await tasks.cancel_all()
    await client.close()


@pytest.mark.parametrize("serial", [0, 7])
@on_loop
async def test_what_is_about_the_session_is_told_whatever_stream_it_comes_on(serial: int) -> None:
    """Updates and changed lists on the stream of a call are no part of that call.

    Lists are those of all where its client has no session of its own: then the worker hears, too.
    """
    async with session() as subject:
        sink = subject.call(Outgoing("tools/call", b"{}", Era.LEGACY, session=serial))
        await subject.reached("tools/call")
        subject.site.said_on_call = [
            {"method": "notifications/resources/updated", "params": {"uri": "a://1"}},
            {"method": "notifications/tools/list_changed"},
            {"method": "notifications/message", "params": {"level": "info", "data": 1}},
        ]
        subject.site.answers.set()
        await eventually(lambda: sink.heard, "the answer")
        assert subject.told == ["notifications/resources/updated",
                                "notifications/tools/list_changed"]  # fmt: skip
        of_all = [] if serial else ["notifications/tools/list_changed"]
        assert sink.methods == [*of_all, "notifications/message"]


@on_loop
async def test_a_session_that_the_server_forgot_is_told_of_as_another_one() -> None:
    """What was asked of it before is lost; the first session is nobody's successor."""
    async with session() as subject:
        subject.site.answers.set()
        sink = subject.call(LIST)
        await eventually(lambda: sink.heard, "the answer")
        assert subject.turns == 0
        subject.site.session = "s2"
        subject.site.said.put_nowait(None)
        await eventually(lambda: subject.turns == 1, "the other session")


@pytest.mark.parametrize("outage", [404, 502, 503])
@on_loop
async def test_a_stream_that_is_refused_for_a_while_is_followed_again(outage: int) -> None:
    """What was missed meanwhile is told of as with another session."""
    async with session(outages=[outage, outage]) as subject:
        subject.site.answers.set()  # whether the session is known is asked with a ping
        subject.site.say(method="notifications/tools/list_changed")
        await eventually(lambda: subject.told, "what the stream brings")
        assert (subject.site.followed, subject.turns) == (3, 1)


@on_loop
async def test_a_stream_that_breaks_off_is_followed_again() -> None:
    """Be it for an outage that begins then, and a server that has none any more is left alone."""
    async with session() as subject:
        await eventually(lambda: subject.site.followed == 1, "the first stream")
        subject.site.outages = [502, 502]
        subject.site.said.put_nowait(None)
        subject.site.say(method="notifications/tools/list_changed")
        await eventually(lambda: subject.told, "what the stream brings")
        assert (subject.site.followed, subject.turns) == (4, 1)
        subject.site.outages = [405, 502]
        subject.site.said.put_nowait(None)
        await eventually(lambda: len(subject.site.outages) == 1, "the refusal")
        sink = subject.call(Outgoing("tools/call", b"{}", Era.LEGACY))
        subject.site.answers.set()
        await eventually(lambda: sink.heard, "the answer")
        assert subject.site.followed == 5
