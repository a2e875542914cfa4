"""The stdio servers as a worker reaches them: over a link that breaks and is made again."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from only1mcp.backends import host_link
from only1mcp.backends.call import FutureSink, Outgoing
from only1mcp.backends.host_link import HostLink, LinkedBackend
from only1mcp.errors import (
    BackendLost,
    BackendTimeout,
    BackendUnreachable,
    InvalidParams,
    ParseError,
)
from only1mcp.links import frames
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from only1mcp.links.wire import CallFrame, decode_numbered, encode_failure, encode_numbered
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks
from tests.support.catalogues import catalogue
from tests.support.loop import eventually, on_loop
from tests.support.sink import Sink

NOTICE = b'{"jsonrpc":"2.0","method":"notifications/progress"}'
QUESTION = b'{"jsonrpc":"2.0","id":"q","method":"roots/list"}'
REPLY = b'{"jsonrpc":"2.0","id":5,"result":{"n":1.0}}'
CALL = Outgoing("tools/call", b'{"name":"x",\n"n":1.0}', Era.MODERN, "x")


class Worker:
    """Our end, with a host that the test plays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks = Tasks()
        self.catalogues: list[Catalogue] = []
        self.events: list[dict[str, Any]] = []
        self.greeted = 0
        self.link = HostLink(
            path, self.tasks, self.catalogues.append, self.events.append, self._on_open
        )
        self.backend = LinkedBackend("srv", self.link)
        self.frames: list[tuple[Link, Kind, int, bytes]] = []
        self.hosts: list[Link] = []
        self._server: asyncio.AbstractServer | None = None

    def _on_open(self) -> None:
        self.greeted += 1

    async def host_starts(self) -> None:
        """Let there be a host."""
        self._server = await serve(self.path, self._make)

    def _make(self) -> Link:
        return Link(lambda *frame: self.frames.append(frame), lambda link: None, self.hosts.append)

    def host_dies(self) -> None:
        """Let the host end, with all its links."""
        if self._server is not None:
            self._server.close()
        for link in self.hosts:
            link.close()

    def ask(self, outgoing: Outgoing = CALL) -> FutureSink:
        """Call."""
        sink = FutureSink()
        self.backend.call(outgoing, sink)
        return sink

    async def received(self, count: int) -> tuple[Link, Kind, int, bytes]:
        """Wait until the host has received so many frames; return the last."""
        await eventually(lambda: len(self.frames) >= count, f"{count} frames")
        return self.frames[count - 1]


@asynccontextmanager
async def worker(*, with_host: bool = True) -> AsyncIterator[Worker]:
    """Make a worker's end, connected or not."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        subject = Worker(Path(folder) / "h.sock")
        if with_host:
            await subject.host_starts()
        subject.link.start()
        try:
            if with_host:
                await eventually(lambda: subject.hosts, "the link")
            yield subject
        finally:
            subject.host_dies()
            await subject.tasks.cancel_all()
            await asyncio.sleep(0.01)
            await subject.tasks.cancel_all()
            await subject.backend.close()


@on_loop
async def test_a_call_goes_to_the_host_and_its_reply_comes_back() -> None:
    """Byte for byte, in whatever order."""
    async with worker() as subject:
        first, second = subject.ask(), subject.ask()
        await subject.received(2)
        for link, kind, token, payload in reversed(subject.frames):
            assert kind is Kind.CALL
            assert CallFrame.decode(payload) == CallFrame(
                "srv", "tools/call", CALL.params, "modern"
            )
            link.send(Kind.REPLY, token, REPLY.replace(b"5", b"%d" % token))
        tokens = [frame[2] for frame in subject.frames]
        for sink, token in zip((first, second), tokens, strict=True):
            assert (await sink.wait(30.0)).body == REPLY.replace(b"5", b"%d" % token)


@on_loop
async def test_a_failure_comes_back_as_its_class() -> None:
    """As if it had happened here."""
    async with worker() as subject:
        sink = subject.ask()
        link, _, token, _ = await subject.received(1)
        link.send(Kind.FAILED, token, encode_failure(BackendTimeout("late", hint="wait")))
        with pytest.raises(BackendTimeout, match="late") as caught:
            await sink.wait(30.0)
        assert caught.value.hint == "wait"


@on_loop
async def test_a_reply_that_is_no_message_is_a_failure() -> None:
    """Though the host reads them all."""
    async with worker() as subject:
        sink = subject.ask()
        link, _, token, _ = await subject.received(1)
        link.send(Kind.REPLY, token, b"garbage")
        with pytest.raises(ParseError):
            await sink.wait(30.0)


@on_loop
async def test_a_cancelled_call_is_taken_back_at_the_host() -> None:
    """Its late reply reaches nobody."""
    async with worker() as subject:
        sink = FutureSink()
        cancel = subject.backend.call(CALL, sink)
        link, _, token, _ = await subject.received(1)
        cancel()
        cancel()
        assert (await subject.received(2))[1:3] == (Kind.CANCEL, token)
        link.send(Kind.REPLY, token, REPLY)
        link.send(Kind.REPLY, 4711, REPLY)
        other = subject.ask()
        link, _, token, _ = await subject.received(3)
        link.send(Kind.REPLY, token, REPLY)
        await other.wait(30.0)
        with pytest.raises(TimeoutError):
            await sink.wait(0.0)


@on_loop
async def test_the_end_of_the_host_ends_its_calls_and_the_next_host_gets_the_next() -> None:
    """Those under way may have run, so they are not sent again."""
    async with worker() as subject:
        sink = subject.ask()
        await subject.received(1)
        subject.host_dies()
        with pytest.raises(BackendLost, match="ended during the call"):
            await sink.wait(30.0)
        waiting = subject.ask()
        await subject.host_starts()
        link, _, token, _ = await subject.received(2)
        link.send(Kind.REPLY, token, REPLY)
        assert (await waiting.wait(30.0)).body == REPLY
        assert [frame[1] for frame in subject.frames] == [Kind.CALL, Kind.CALL]


@on_loop
async def test_calls_before_there_is_a_host_wait_for_it() -> None:
    """In order; those that are cancelled meanwhile are never sent."""
    async with worker(with_host=False) as subject:
        sinks = [subject.ask(Outgoing("tools/call", b"%d" % n, Era.LEGACY)) for n in range(3)]
        subject.backend.call(CALL, FutureSink())()
        await subject.host_starts()
        await subject.received(3)
        assert [CallFrame.decode(frame[3]).params for frame in subject.frames] == [b"0", b"1", b"2"]
        for link, _, token, _ in subject.frames:
            link.send(Kind.REPLY, token, REPLY)
        for sink in sinks:
            await sink.wait(30.0)
        assert len(subject.frames) == 3


@on_loop
async def test_a_call_does_not_wait_for_ever_for_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent, so it may be tried again."""
    monkeypatch.setattr(host_link, "PATIENCE_S", 0.05)
    async with worker(with_host=False) as subject:
        with pytest.raises(BackendUnreachable, match="runs server srv is not there"):
            await subject.ask().wait(30.0)


@on_loop
async def test_events_of_the_host_are_passed_on() -> None:
    """What each server offers by itself; all else as it is."""
    offer = catalogue("a", tools="x", resources="r://1")
    async with worker() as subject:
        (host,) = subject.hosts
        host.send(Kind.EVENT, 0, json.dumps({"catalogue": offer.to_plain()}).encode())
        host.send(Kind.EVENT, 0, b'{"settled":true}')
        host.send(Kind.EVENT, 0, b'{"something":"new"}')
        variant = {"variant": 8, "catalogue": offer.to_plain()}
        host.send(Kind.EVENT, 0, json.dumps(variant).encode())
        await eventually(lambda: len(subject.events) == 3, "the events")
        assert subject.catalogues == [offer]
        assert subject.events == [{"settled": True}, {"something": "new"}, variant]


@on_loop
async def test_a_call_tells_the_host_all_that_it_must_know_of_the_client() -> None:
    """What it can be asked, whose it is, how much it wants to hear, and its token."""
    async with worker() as subject:
        outgoing = Outgoing(
            "tools/call", b"{}", Era.LEGACY, features=Feature.ROOTS, session=2**63, level=0,
            token=b'"o1-\xc3\xa9"', own=True,
        )  # fmt: skip
        subject.ask(outgoing)
        _, _, _, payload = await subject.received(1)
        assert CallFrame.decode(payload) == CallFrame(
            "srv", "tools/call", b"{}", "legacy", int(Feature.ROOTS), 2**63, 0, '"o1-é"', own=True
        )


@on_loop
async def test_messages_and_questions_reach_the_call_they_belong_to() -> None:
    """Before its end only; the answers go back under the number of the question."""
    async with worker() as subject:
        first, second = Sink(), Sink()
        for sink in (first, second):
            subject.backend.call(CALL, sink)
        link, _, token, _ = await subject.received(2)
        link.send(Kind.MESSAGE, token, NOTICE)
        link.send(Kind.ASK, token, encode_numbered(3, QUESTION))
        link.send(Kind.MESSAGE, 4711, NOTICE)
        link.send(Kind.ASK, 4711, encode_numbered(1, QUESTION))
        await eventually(lambda: second.questions, "the question")
        ((question, respond),) = second.questions
        assert (second.methods, question.method) == (["notifications/progress"], "roots/list")
        respond(b'"result":{"n":1.0}')
        answered = await subject.received(3)
        assert answered[1:] == (Kind.RESPOND, token, encode_numbered(3, b'"result":{"n":1.0}'))
        link.send(Kind.REPLY, token, REPLY)
        link.send(Kind.MESSAGE, token, NOTICE)
        await eventually(lambda: second.heard, "the reply")
        assert (first.messages, first.questions, first.heard) == ([], [], [])


@on_loop
async def test_what_is_too_large_for_the_link_costs_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or the answer to one question; the link and the other calls live on."""
    monkeypatch.setattr(frames, "MAX_PAYLOAD_BYTES", 150)
    async with worker() as subject:
        with pytest.raises(InvalidParams, match="bytes are too large"):
            await subject.ask(Outgoing("tools/call", b'"%b"' % bytes(200), Era.MODERN)).wait(30.0)
        sink = Sink()
        subject.backend.call(CALL, sink)
        link, _, token, _ = await subject.received(1)
        link.send(Kind.ASK, token, encode_numbered(1, QUESTION))
        await eventually(lambda: sink.questions, "the question")
        sink.questions[0][1](b'"result":"%b"' % bytes(200))
        *_, answer = await subject.received(2)
        assert b"is too large" in decode_numbered(answer)[1]


@on_loop
async def test_an_answer_to_a_host_that_is_gone_goes_nowhere() -> None:
    """The next one asked nothing."""
    async with worker() as subject:
        sink = Sink()
        subject.backend.call(CALL, sink)
        link, _, token, _ = await subject.received(1)
        link.send(Kind.ASK, token, encode_numbered(1, QUESTION))
        await eventually(lambda: sink.questions, "the question")
        subject.host_dies()
        await eventually(lambda: sink.heard, "the end")
        sink.questions[0][1](b'"result":{}')
        await subject.host_starts()
        await eventually(lambda: subject.greeted == 2, "the next host")
        subject.ask()
        assert [frame[1] for frame in subject.frames[:1]] == [Kind.CALL]
        assert (await subject.received(2))[1] is Kind.CALL


@on_loop
async def test_notes_are_for_the_host_that_is_there() -> None:
    """Without one they are lost; each host is greeted when it comes."""
    async with worker(with_host=False) as subject:
        subject.link.note({"lost": 1})
        await subject.host_starts()
        await eventually(lambda: subject.greeted == 1, "the host")
        subject.link.note({"watch": ["a", "r://é", 5]})
        _, kind, token, payload = await subject.received(1)
        assert (kind, token, json.loads(payload)) == (Kind.NOTE, 0, {"watch": ["a", "r://é", 5]})
