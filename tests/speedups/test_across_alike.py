"""Modern clients' calls to legacy servers, written in any way: both ways do the same with them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from only1mcp import _speedups
from only1mcp._speedups import scan
from only1mcp.errors import Only1MCPError
from only1mcp.protocol.versions import Era
from tests.support.host_lane import HostedWorker, hosted_worker
from tests.support.kept import ACCEPTED, greeting, is_told, taken
from tests.support.lane import Worker, lane_worker, modern_request
from tests.support.loop import PATIENCE_S
from tests.support.messages import META, MODERN, OWN, modern
from tests.support.raw_server import CHUNKED, EVENTS, Came, Peer, RawServer, chunk, event, whole
from tests.support.wire import Reply

pytestmark = pytest.mark.skipif(not _speedups.COMPILED, reason="the lane is compiled only")

EXAMPLES = settings(
    max_examples=300,
    derandomize=True,  # how many of them the lane carries is asserted
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
SPACES = st.sampled_from(["", "", "", "", " ", "\n", "\r\n", "\t ", "  \r"])
Drawn = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def key(draw: Drawn, names: list[str]) -> str:
    """Write a key, now and then with one of its characters as an escape."""
    name = draw(st.sampled_from(names))
    if draw(st.integers(0, 7)):
        return json.dumps(name)
    at = draw(st.integers(0, len(name) - 1))
    return f'"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"'


VALUES = st.sampled_from(
    ["1", "-0", "1e3", "true", "null", '""', '"a"', '"resultType"', '"\\"task\\""',
     '"\\ud83d\\ude00"', '"é\\n"', "[]", "{}", '[ {"task":2}]', '{"resultType":"x"}',
     '{"a":{"\\u005fmeta":{}}}', '{"name":"s__echo"}',
     '"' + "y" * 700 + '"']
)  # fmt: skip


WRONG = st.sampled_from(["01", "{", '"\\ud800"', "[1,]", "+1", '"\t"'])


@st.composite
def value(draw: Drawn) -> str:
    """Write a value, which rarely is none."""
    return str(draw(VALUES if draw(st.integers(0, 31)) else WRONG))


def written(members: list[tuple[str, str]], draw: Drawn) -> str:
    """Write an object with any spaces between its parts."""
    parts = [
        f"{draw(SPACES)}{name}{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}"
        for name, value in members
    ]
    return "{" + (",".join(parts) or draw(SPACES)) + "}"


def some(draw: Drawn, names: list[str], most: int = 3) -> list[tuple[str, str]]:
    """Draw members of such names."""
    return draw(st.lists(st.tuples(key(names), value()), max_size=most))  # type: ignore[no-any-return]


@st.composite
def metas(draw: Drawn) -> str:
    """Write the `_meta` of a modern request, mostly a right one."""
    capabilities = draw(st.sampled_from(["{}", "{}", "{}", "{ }", '{"x":1}', "[]", "null"]))
    members = [
        (f'"{OWN}protocolVersion"', f'"{MODERN}"'), (f'"{OWN}clientCapabilities"', capabilities),
        *some(draw, [OWN + "clientInfo", OWN + "related-task", "traceparent", "x", "name", "_meta",
                     OWN + "logLevel", "progressToken", "task", "uri", "é"]),
    ]  # fmt: skip
    return written(draw(st.permutations(members)), draw)


@st.composite
def params(draw: Drawn, target: str) -> str:
    """Write the parameters of a call."""
    members = [
        ('"name"', target), ('"_meta"', draw(metas())),
        *some(draw, ["arguments", "arguments", "task", "inputResponses", "requestState", "x",
                     "uri", "name", "_meta"]),
    ]  # fmt: skip
    return written(draw(st.permutations(members)), draw)


@st.composite
def results(draw: Drawn) -> str:
    """Write a result, of any kind."""
    if not draw(st.integers(0, 9)):
        return str(draw(value()))
    types = st.sampled_from(['"complete"', '"task"', '"input_required"', '"x"', "7", "null", "{}"])
    members = some(draw, ["content", "structuredContent", "_meta", "isError", "x", "task"])
    if draw(st.booleans()):
        members.append((draw(key(["resultType"])), draw(types)))
    return written(draw(st.permutations(members)), draw)


def parsed(data: bytes | str) -> Any:
    """Read JSON so that members which stand twice differ from those that stand once."""
    return json.loads(data, object_pairs_hook=lambda pairs: sorted(pairs, key=repr))


def asked(data: bytes | str) -> Any:
    """Read a request as the server did, but for what differs from call to call."""
    top = [(name, value) for name, value in parsed(data) if name != "id"]
    return [(name, _params(value) if name == "params" else value) for name, value in top]


def _params(members: Any) -> Any:
    """Leave out a `_meta` that is empty, and hide the token of a call."""
    hidden = [
        (name, [(k, "ours" if k == "progressToken" else v) for k, v in value])
        if name == "_meta" and isinstance(value, list) else (name, value)
        for name, value in members
    ]  # fmt: skip
    return sorted(((k, v) for k, v in hidden if (k, v) != ("_meta", [])), key=repr)


def answered(reply: Reply) -> Any:
    """Return what the client hears."""
    return reply.status, reply.headers.get("content-type"), parsed(reply.body)


async def sent(worker: Worker, request: bytes) -> Reply:
    """Send a request on a connection of its own."""
    async with worker.wire() as wire, asyncio.timeout(PATIENCE_S):
        await wire.send(request)
        return await wire.reply()


@dataclass
class Sites:
    """Two workers, with the lane and without."""

    runner: asyncio.Runner
    fast: Worker
    common: Worker
    server: "Scripted | None" = None

    def both(self, request: bytes) -> tuple[Any, Any]:
        """Send a request on both; return what came of it."""
        return self._on(self.fast, request), self._on(self.common, request)

    def _on(self, worker: Worker, request: bytes) -> Any:
        if self.server is not None:
            self.server.came.clear()
        reply = self.runner.run(sent(worker, request))
        came = [] if self.server is None else [
            (one.line, {**one.headers, "content-length": "", "host": ""}, asked(one.body))
            for one in self.server.came
        ]  # fmt: skip
        return answered(reply), came


class Scripted:
    """A legacy server that answers with bytes, and keeps what came."""

    def __init__(self) -> None:
        self.came: list[Came] = []
        self.write: Callable[[int], list[bytes]] = lambda _: []

    async def serve(self, peer: Peer) -> None:
        """Answer until the connection ends."""
        while True:
            came = await peer.request()
            if is_told(came) or "method" not in came.message:
                await peer.send(ACCEPTED)
            elif came.message["method"] == "initialize":
                await peer.send(greeting(came))
            else:
                self.came.append(came)
                for piece in self.write(came.id):
                    await peer.send(piece)


@contextmanager
def http_sites() -> Iterator[tuple[Sites, Scripted]]:
    """Serve, before the same server."""
    server = Scripted()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def build() -> Sites:
            url = await stack.enter_async_context(RawServer(server.serve).open())
            workers = [
                await stack.enter_async_context(
                    lane_worker(url, Era.LEGACY, fast=fast, failures=1000)
                )
                for fast in (True, False)
            ]
            return Sites(runner, workers[0], workers[1], server)

        try:
            sites = runner.run(build())
            server.write = lambda number: [whole(response(number, "{}"))]
            for _ in range(2):
                sites.both(modern_request("tools/call", "s__echo", modern("tools/call", CALL)))
            yield sites, server
        finally:
            runner.run(stack.aclose())


CALL: dict[str, Any] = {"name": "s__echo", "arguments": {}, "_meta": META}


def response(number: int, result: str) -> bytes:
    """Write a server's response."""
    return f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}'.encode()


def request(text: str) -> bytes:
    """Write a client's request."""
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{text}}}'.encode()
    return modern_request("tools/call", "s__echo", body)


def test_requests_reach_a_server_in_the_same_words() -> None:
    """Whatever stands among their parameters, in whatever order, and however it is written."""
    with http_sites() as (sites, _):
        before, total = taken(sites.fast), 0

        @EXAMPLES
        @given(params('"s__echo"'))
        def compare(text: str) -> None:
            nonlocal total
            total += 1
            fast, common = sites.both(request(text))
            assert fast == common

        compare()
        assert taken(sites.fast) - before < total, "the lane has carried none"


def as_json(body: bytes) -> list[bytes]:
    """Answer with the body alone."""
    return [whole(body)]


def as_event(body: bytes) -> list[bytes]:
    """Answer with a stream of one event."""
    return [EVENTS + CHUNKED, chunk(b"data: %b\n\n" % b"".join(body.splitlines())), b"0\r\n\r\n"]


def in_pieces(body: bytes) -> list[bytes]:
    """Answer with a body that comes bit by bit."""
    data = whole(body)
    return [data[:-9], b"", data[-9:-1], data[-1:]]


def after_a_note(body: bytes) -> list[bytes]:
    """Answer behind a log message and a question."""
    said = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":1}}'
    question = b'{"jsonrpc":"2.0","id":"q","method":"ping"}'
    events = [event(said), event(question), event(b"".join(body.splitlines()))]
    return [EVENTS + CHUNKED, *map(chunk, events), b"0\r\n\r\n"]


def test_results_reach_a_client_in_the_same_words() -> None:
    """However they are written, and however they come."""
    ways = st.sampled_from([as_json, as_json, as_event, in_pieces, after_a_note])
    with http_sites() as (sites, server):
        before, total = taken(sites.fast), 0

        @EXAMPLES
        @given(results(), ways)
        def compare(text: str, way: Callable[[bytes], list[bytes]]) -> None:
            nonlocal total
            total += 1
            server.write = lambda number: way(response(number, text))
            fast, common = sites.both(modern_request("tools/call", "s__echo", PLAIN))
            assert fast == common

        compare()
        assert taken(sites.fast) - before < total, "the lane has carried none"


PLAIN = modern("tools/call", CALL)


@contextmanager
def stdio_sites() -> Iterator[Sites]:
    """Serve, each before a child of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def build() -> tuple[HostedWorker, HostedWorker]:
            return (
                await stack.enter_async_context(hosted_worker(Era.LEGACY)),
                await stack.enter_async_context(hosted_worker(Era.LEGACY, fast=False)),
            )

        try:
            yield Sites(runner, *runner.run(build()))
        finally:
            runner.run(stack.aclose())


def test_requests_reach_a_program_in_the_same_words() -> None:
    """Each on one line."""
    with stdio_sites() as sites:

        @EXAMPLES
        @given(params('"s__line"'))
        def compare(text: str) -> None:
            body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{text}}}'.encode()
            heard = [
                (status, said if status != 200 else line_in(said))
                for (status, _, said), _ in sites.both(
                    modern_request("tools/call", "s__line", body)
                )
            ]
            assert heard[0] == heard[1]

        compare()
        assert sites.fast.line.carried > 20  # type: ignore[attr-defined]


def line_in(message: Any) -> Any:
    """Return the line that the program says it has read."""
    result = dict(dict(message)["result"])
    return asked(dict(result["content"][0])["text"]), sorted(result)


def test_results_of_a_program_reach_a_client_in_the_same_words() -> None:
    """However they are written."""
    with stdio_sites() as sites:

        @EXAMPLES
        @given(results())
        def compare(text: str) -> None:
            line = " ".join(text.split("\n")).replace("\r", " ")
            try:
                scan(response(1, line))
            except Only1MCPError:
                return  # it is no message, so nobody is answered
            params = {"name": "s__raw", "arguments": {"text": line}, "_meta": META}
            sending = modern_request("tools/call", "s__raw", modern("tools/call", params))
            fast, common = sites.both(sending)
            assert fast == common

        compare()
        assert sites.fast.line.carried > 20  # type: ignore[attr-defined]
