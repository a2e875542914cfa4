"""Workers that pass requests on to one another, over real sockets."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from only1mcp.auth.access import Access
from only1mcp.backends.call import Cancel
from only1mcp.errors import InvalidRequest
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.tasks import Tasks
from only1mcp.worker.peers import WorkerPeers
from tests.support.loop import eventually, on_loop
from tests.support.told import Told

DONE = Answer(200, b'{"done":\n1.0}', "s-1")


class Worker:
    """One worker; the test answers what it is asked."""

    def __init__(self, directory: Path, index: int, others: int) -> None:
        self.directory = directory
        self.tasks = Tasks()
        workers = partial(range, others)
        self.peers = WorkerPeers(directory, index, workers, self.tasks, Access())
        self.asked: list[tuple[str, Request, Exchange]] = []
        self.cancelled = 0
        self.gone = 0
        self.refuses = False
        self.answers_at_once = False

    async def start(self) -> None:
        """Begin to listen to the others."""
        await self.peers.serve(self._take("handle"), self._take("stream"), self._take("post"))

    def _take(self, way: str) -> Callable[[Request, Exchange], Cancel]:
        def take(request: Request, exchange: Exchange) -> Cancel:
            if self.refuses:
                raise InvalidRequest("not here")
            self.asked.append((way, request, exchange))
            if self.answers_at_once:
                exchange.answer(DONE)
            return self._cancel

        return take

    def _cancel(self) -> None:
        self.cancelled += 1

    def on_gone(self) -> None:
        """Take note that nobody is there."""
        self.gone += 1

    async def question(self, count: int = 1) -> Exchange:
        """Wait until so many requests have come; return where the last one's answer goes."""
        await eventually(lambda: len(self.asked) >= count, f"{count} requests")
        return self.asked[count - 1][2]

    def forward(self, address: str, request: Request | None = None) -> Told:
        """Pass a request on to another worker."""
        told = Told()
        told.cancel = self.peers.forward(address, request or make_request(), told, self.on_gone)
        return told

    async def stop(self) -> None:
        """End, with all links."""
        self.peers.close()
        await self.tasks.cancel_all()


class Player:
    """A worker that the test plays frame by frame: the number 7 of the edition."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self._tokens: list[int] = []

    def make(self) -> Link:
        """Take a link."""
        return Link(self._on_frame, lambda link: None, self.links.append)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del link, payload
        if kind is Kind.FORWARD:
            self._tokens.append(token)

    async def received(self, count: int) -> list[int]:
        """Wait until so many requests have come; return their tokens."""
        await eventually(lambda: len(self._tokens) >= count, f"{count} requests")
        return self._tokens


@asynccontextmanager
async def player(other: Worker) -> AsyncIterator[Player]:
    """Play a worker beside another one."""
    subject = Player()
    server = await serve(other.directory / "w7.sock", subject.make)
    try:
        yield subject
    finally:
        server.close()
        for link in subject.links:
            link.close()


def make_request(body: bytes = b'{"a":\n1.0}') -> Request:
    """Return a request that uses every member."""
    headers = McpHeaders("v", "m", "é", "s", ("x", "y"))
    return Request(headers, body, "::1", {"mcp-param-a": ["1", "2"]}, "1.0-s-3", channel="c")


@asynccontextmanager
async def workers(count: int = 2) -> AsyncIterator[list[Worker]]:
    """Run the workers of one edition."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        directory = Path(folder) / "g3"
        directory.mkdir()
        found = [Worker(directory, index, count) for index in range(count)]
        for worker in found:
            await worker.start()
        try:
            yield found
        finally:
            for worker in found:
                await worker.stop()


@on_loop
async def test_a_request_reaches_the_other_worker_whole() -> None:
    """Marked, so that it is not passed on again."""
    async with workers() as (one, other):
        assert (one.peers.address, other.peers.address) == ("3.0", "3.1")
        one.forward("3.1")
        await other.question()
        (way, request, _) = other.asked[0]
        expected = make_request()
        expected.forwarded = True
        assert (way, request) == ("handle", expected)


@on_loop
async def test_a_request_without_a_body_is_a_stream_and_posts_go_their_own_way() -> None:
    """Whoever serves them is another."""
    async with workers() as (one, other):
        one.forward("3.1", make_request(b""))
        await other.question()
        one.peers.post("3.1", make_request(), Told(), one.on_gone)
        await other.question(2)
        assert [way for way, _, _ in other.asked] == ["stream", "post"]


@on_loop
async def test_all_that_is_answered_comes_back() -> None:
    """In order, with event ids and byte for byte."""
    async with workers() as (one, other):
        told = one.forward("3.1")
        exchange = await other.question()
        exchange.open()
        await eventually(lambda: told.is_open, "the opening")
        exchange.send(b"", "w-0")
        exchange.send(b'{"n":\n1.0}', "w-1")
        exchange.send(b"{}")
        exchange.answer(DONE, "w-2")
        await eventually(lambda: told.answers, "the answer")
        assert told.sent == [("w-0", b""), ("w-1", b'{"n":\n1.0}'), (None, b"{}")]
        assert (told.only, told.answer_id) == (DONE, "w-2")
        ended = one.forward("3.1")
        (await other.question(2)).end()
        await eventually(lambda: ended.has_ended, "the end")
        assert (one.gone, other.cancelled) == (0, 0)


@on_loop
async def test_answers_find_their_requests_in_whatever_order_they_come() -> None:
    """Many at a time share one link."""
    async with workers() as (one, other):
        told = [one.forward("3.1") for _ in range(20)]
        await other.question(20)
        for number, (_, _, exchange) in reversed(list(enumerate(other.asked))):
            exchange.answer(Answer(200, b"%d" % number))
        await eventually(lambda: all(each.answers for each in told), "all answers")
        assert [each.only.body for each in told] == [b"%d" % number for number in range(20)]


@on_loop
async def test_many_requests_at_once_open_one_link() -> None:
    """To a worker that was not needed before; when it breaks, the next request opens another."""
    async with workers(1) as (one,), player(one) as other:
        for _ in range(10):
            one.forward("3.7")
        await other.received(10)
        assert len(other.links) == 1
        other.links[0].close()
        await eventually(lambda: one.gone == 10, "the news")
        one.forward("3.7")
        await other.received(11)
        assert len(other.links) == 2


@on_loop
async def test_a_client_that_leaves_leaves_the_other_worker_too() -> None:
    """Once; what comes after that reaches nobody."""
    async with workers() as (one, other):
        told = one.forward("3.1")
        exchange = await other.question()
        told.cancel()
        told.cancel()
        await eventually(lambda: other.cancelled, "the cancellation")
        exchange.send(b"late")
        exchange.answer(DONE)
        again = one.forward("3.1")
        (await other.question(2)).answer(DONE)
        await eventually(lambda: again.answers, "the next answer")
        assert (told.sent, told.answers) == ([], [])
        assert (other.cancelled, one.gone) == (1, 0)


@on_loop
async def test_a_client_that_leaves_at_once_is_not_passed_on() -> None:
    """Nor after its answer has come is there anything to cancel."""
    async with workers() as (one, other):
        other.answers_at_once = True
        one.forward("3.1").cancel()
        told = one.forward("3.1")
        await eventually(lambda: told.answers, "the answer")
        told.cancel()
        last = one.forward("3.1")
        await eventually(lambda: last.answers, "the last answer")
        assert (len(other.asked), other.cancelled) == (2, 0)


@pytest.mark.parametrize(
    "address",
    ["3.5", "2.1", "", "3", "3.", ".1", "x.y", "3.1.1", "3.-1", "../x", "3./etc", "9" * 5000,
     "3." + "9" * 300, "\uff13.9", "3.\0"],
)  # fmt: skip
@on_loop
async def test_where_there_is_no_worker_somebody_is_told(address: str) -> None:
    """Addresses come from clients, so they may be anything."""
    async with workers() as (one, other):
        one.forward(address)
        await eventually(lambda: one.gone, "the news")
        assert other.asked == []
        assert one.gone == 1


@on_loop
async def test_a_worker_that_ends_is_noticed_by_those_who_wait_for_it() -> None:
    """Not by those who have their answer."""
    async with workers(1) as (one,), player(one) as other:
        answered, ended, first, second = (one.forward("3.7") for _ in range(4))
        frames = await other.received(4)
        other.links[0].send(Kind.ANSWER, frames[0], b"[200,null,null,[]]\n{}")
        other.links[0].send(Kind.END, frames[1])
        await eventually(lambda: answered.answers and ended.has_ended, "the answers")
        other.links[0].close()
        await eventually(lambda: one.gone == 2, "the news")
        assert (first.answers, second.answers) == ([], [])


@on_loop
async def test_a_worker_that_asked_and_ends_leaves_no_request_behind() -> None:
    """What it asked for is cancelled, but for what was answered."""
    async with workers() as (one, other):
        answered = one.forward("3.1")
        one.forward("3.1")
        one.forward("3.1")
        await other.question(3)
        other.asked[0][2].answer(DONE)
        await eventually(lambda: answered.answers, "the answer")
        one.peers.close()
        await eventually(lambda: other.cancelled == 2, "the cancellations")
        other.asked[1][2].answer(DONE)


@on_loop
async def test_a_worker_that_refuses_a_stream_says_so() -> None:
    """As if it were gone: whoever has the connection goes on by itself."""
    async with workers() as (one, other):
        other.refuses = True
        told = one.forward("3.1", make_request(b""))
        await eventually(lambda: one.gone, "the news")
        assert (told.answers, told.has_ended) == ([], False)
        other.refuses = False
        one.forward("3.1")
        await other.question()
        assert one.gone == 1


@on_loop
async def test_all_others_of_the_edition_are_told() -> None:
    """Not the one who tells; one that is not there does not matter, nor what is answered."""
    async with workers(4) as found:
        for worker in found:
            worker.answers_at_once = True
        await found[3].stop()
        (found[3].directory / "w3.sock").unlink(missing_ok=True)
        found[0].peers.tell_others(make_request())
        for worker in found[1:3]:
            await worker.question()
        assert (found[0].asked, found[3].asked) == ([], [])
        assert [worker.asked[0][1].forwarded for worker in found[1:3]] == [True, True]


@on_loop
async def test_what_is_no_answer_to_anything_is_passed_over() -> None:
    """The link stays good."""
    async with workers(1) as (one,), player(one) as other:
        told = one.forward("3.7")
        (token,) = await other.received(1)
        for stranger in (token + 1, 4711):
            other.links[0].send(Kind.OPEN, stranger)
            other.links[0].send(Kind.MESSAGE, stranger, b'"x"\nstranger')
            other.links[0].send(Kind.ANSWER, stranger, b"[200,null,null,[]]\nstranger")
        other.links[0].send(Kind.ANSWER, token, b'[201,"s",null,[]]\nx')
        other.links[0].send(Kind.ANSWER, token, b'[500,"s",null,[]]\ny')
        await eventually(lambda: told.answers, "the answer")
        again = one.forward("3.7")
        other.links[0].send(Kind.END, (await other.received(2))[1])
        await eventually(lambda: again.has_ended, "the end")
        assert told.only == Answer(201, b"x", "s")
        assert not told.is_open


@pytest.mark.parametrize(
    "address", ["3.01", "03.1", "003.1", "3.1 ", "+3.1", "3_0.1", "3.\u0661", "3"]
)
@on_loop
async def test_a_worker_s_address_has_one_spelling(address: str) -> None:
    """Clients can send any; each further one would hold a connection of its own."""
    async with workers() as (one, other):
        one.forward(address)
        await eventually(lambda: one.gone, "the news")
        assert other.asked == []
