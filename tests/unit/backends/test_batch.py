"""What comes back for a batch, and whose it is."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp.backends.batch import Batch, Member
from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendError, BackendLost, BackendProtocolError, Only1MCPError
from only1mcp.protocol.versions import Era
from only1mcp.transports.streamable_http import StreamableHttp, make_client
from tests.support.batch_site import BatchSite, Plain, answer_to, stream
from tests.support.http_site import http_site
from tests.support.loop import on_loop
from tests.support.sink import Sink

SIZE = 4
PROGRESS = "notifications/progress"


class Asked:
    """Some calls in a batch, each with what it hears."""

    def __init__(self, sessions: tuple[int, ...] = (1, 2, 3, 4)) -> None:
        self.replies: list[bytes] = []
        """What the server was answered."""
        self.batch = Batch("srv", object(), {}, self.replies.append)
        self.sinks = [Sink() for _ in sessions]
        self.members = [
            Member(b"%d" % n, Outgoing("tools/call", b'{"n":%d}' % n, Era.LEGACY, session=session,
                   token=b'"t%d"' % n), sink)
            for n, (session, sink) in enumerate(zip(sessions, self.sinks, strict=True), 1)
        ]  # fmt: skip
        for member in self.members:
            self.batch.add(member)

    async def carry(self, url: str) -> None:
        """Send them, as a batcher does that never gives up."""
        client = make_client()
        try:
            answer = await self.batch.carry(StreamableHttp(client, "srv", url, {}))
            self.batch.settle(answer)
        except Only1MCPError as error:
            self.batch.fail(error)
        finally:
            await client.close()

    @property
    def ends(self) -> list[object]:
        """What each call got: a result, an error of the server, or the class of a failure."""
        return [_end(member) for member in self.members]


def _end(member: Member) -> object:
    failure = member.answer.exception()
    if failure is not None:
        return type(failure)
    answer = member.answer.result()
    assert answer is not None
    assert answer.message is not None
    assert answer.message.id == member.id
    body = json.loads(answer.message.body)
    return body.get("result", body.get("error"))


async def asked_of(answer: Any, *sessions: int) -> Asked:
    """Send a batch to a server that answers like this."""
    asked, site = Asked(sessions or (1, 2, 3, 4)), BatchSite()
    site.answer = answer
    site.sessions.add(None)  # type: ignore[arg-type]  # nobody has opened one
    async with site.open() as url:
        await asked.carry(url)
    return asked


def right(n: int) -> Plain:
    """Return the right answer to a call."""
    return {"jsonrpc": "2.0", "id": n, "result": {"right": n}}


IDS = st.integers(1, SIZE)
ANSWERS = st.one_of(
    IDS.map(right),
    IDS.map(lambda n: {"jsonrpc": "2.0", "id": n, "error": {"code": -1, "message": str(n)}}),
    st.sampled_from([0, -1, SIZE + 1, 10**30, "1", "", None]).map(
        lambda n: {"jsonrpc": "2.0", "id": n, "error": {"code": -32600, "message": "foreign"}}
    ),
    st.sampled_from(["1", 1.0, 99]).map(lambda n: {"jsonrpc": "2.0", "id": n, "result": {}}),
    st.sampled_from([7, "x", None, {}, [], [right(1)], {"jsonrpc": "2.0"}, {"id": 1, "result": 1}]),
    st.just({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}}),
    st.just({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}),
)
"""Right ones, those that come twice, foreign ones, and what is no answer at all."""


def expected(answers: list[Any]) -> Mapping[int, object]:
    """Return what each call is to get: the first answer that bears its id, as an integer."""
    found: dict[int, object] = {}
    for one in answers:
        has_end = (
            isinstance(one, dict) and one.get("jsonrpc") and ("result" in one or "error" in one)
        )
        if has_end and type(one.get("id")) is int and "method" not in one:
            found.setdefault(one["id"], one.get("result", one.get("error")))
    return found


async def _answered(answers: list[Any], *, as_stream: bool, split: int) -> list[object]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if not as_stream:
            return web.json_response(answers)
        return await stream(
            request, answers[:split], *([answers[split:]] if answers[split:] else [])
        )

    asked = Asked()
    async with http_site(handle) as url:
        await asked.carry(url)
    return asked.ends


@settings(max_examples=150, deadline=None)
@given(answers=st.lists(ANSWERS, max_size=8), as_stream=st.booleans(), split=st.integers(0, 8))
def test_whatever_is_answered_each_call_gets_its_own_or_a_failure(
    answers: list[Any], as_stream: bool, split: int
) -> None:
    """Answers that are missing, foreign, double or broken spoil no other's."""
    ends = asyncio.run(_answered(answers, as_stream=as_stream, split=split))
    wanted = expected(answers)
    for n, end in enumerate(ends, 1):
        if n in wanted:
            assert end == wanted[n]
        else:
            assert end is BackendProtocolError


@on_loop
async def test_answers_on_a_stream_are_handed_out_as_they_come() -> None:
    """One by one or in arrays; the stream is left after the last, whatever the server sends."""
    waiting = asyncio.Event()

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        one, two, three, four = map(answer_to, batch)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in (two, [four, one], three):
            await response.write(b"data: %b\n\n" % json.dumps(event).encode())
        await waiting.wait()
        return response

    asked = await asked_of(answer)
    assert asked.ends == [{"said": {"n": n}} for n in (1, 2, 3, 4)]
    waiting.set()


@on_loop
async def test_a_stream_that_breaks_off_fails_what_is_open() -> None:
    """Who has an answer keeps it."""

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: %b\n\n" % json.dumps(answer_to(batch[1])).encode())
        assert request.transport is not None
        request.transport.close()
        return response

    ends = (await asked_of(answer)).ends
    assert ends == [BackendLost, {"said": {"n": 2}}, BackendLost, BackendLost]


@on_loop
async def test_a_stream_with_event_ids_is_read_on_where_it_ended() -> None:
    """As often as it ends before the last answer."""
    asked, site = Asked(), BatchSite()
    site.sessions.add(None)  # type: ignore[arg-type]  # nobody has opened one

    async def piece(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        at = len(site.streams)
        return await stream(request, answer_to(batch[at]), event_id=f"e{at}")

    site.answer = site.resume = piece
    async with site.open() as url:
        await asked.carry(url)
    assert asked.ends == [{"said": {"n": n}} for n in (1, 2, 3, 4)]
    assert site.streams == ["e0", "e1", "e2"]


@on_loop
async def test_progress_reaches_the_call_whose_token_it_bears() -> None:
    """Nobody else, and nothing reaches a call that has its answer."""

    def progress(token: str) -> Plain:
        return {"jsonrpc": "2.0", "method": PROGRESS, "params": {"progressToken": token}}

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        answers = [answer_to(one) for one in batch]
        said = [progress("t2"), progress("t9"), answers[0], progress("t1"), progress("t2")]
        return await stream(request, *said, answers[1:])

    asked = await asked_of(answer)
    assert [sink.methods for sink in asked.sinks] == [[], [PROGRESS, PROGRESS], [], []]


@pytest.mark.parametrize(("sessions", "hears"), [((5, 5), True), ((5, 6), False), ((0, 0), False)])
@on_loop
async def test_a_log_message_is_told_where_it_is_plain_whose_it_is(
    sessions: tuple[int, ...], hears: bool
) -> None:
    """It names no call: with calls of several clients it is nobody's, until one is left."""
    log = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        one, two = map(answer_to, batch)
        return await stream(request, log, one, log, two)

    asked = await asked_of(answer, *sessions)
    first, second = (sink.methods for sink in asked.sinks)
    assert first == ["notifications/message"] * hears
    assert second == ["notifications/message"]


@on_loop
async def test_what_is_about_the_whole_session_one_call_hears() -> None:
    """Whichever: it concerns none of them, and all."""
    changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        one, two = map(answer_to, batch)
        return await stream(request, changed, one, changed, two)

    asked = await asked_of(answer, 5, 6)
    assert [sink.methods for sink in asked.sinks] == [["notifications/tools/list_changed"]] * 2


@on_loop
async def test_a_question_on_the_stream_of_a_batch_is_refused() -> None:
    """Nobody is asked who did not say that they can be; a ping is answered."""

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
        ask = {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}
        return await stream(request, [ping, ask], *map(answer_to, batch))

    asked = await asked_of(answer)
    replies = [json.loads(reply) for reply in asked.replies]
    assert [(one["id"], "result" in one) for one in replies] == [("p", True), ("q", False)]


@on_loop
async def test_a_body_that_is_no_json_fails_every_call() -> None:
    """With a word on what was answered."""

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        del request, batch
        return web.Response(text="<h1>hello</h1>")

    asked = await asked_of(answer)
    assert asked.ends == [BackendProtocolError] * SIZE
    assert issubclass(BackendProtocolError, BackendError)
