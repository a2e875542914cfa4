"""Several instances of one HTTP server: shared out, and standing in for each other."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from only1mcp.backends.call import FutureSink, Outgoing
from only1mcp.backends.http_backend import HttpBackend
from only1mcp.backends.instances import Instances
from only1mcp.errors import BackendError, BackendLost, BackendUnreachable
from only1mcp.memory.instances import loose
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import Instance, Routing, Server
from only1mcp.resilience.retry_budget import RESERVE
from only1mcp.tasks import Tasks
from only1mcp.transports import streamable_http
from only1mcp.transports.streamable_http import make_client
from tests.support.black_hole import black_hole
from tests.support.loop import on_loop
from tests.support.ports import free_port
from tests.support.scripted_server import ScriptedServer
from tests.support.sink import Sink

CALL = Outgoing("tools/call", b'{"name":"x"}', Era.MODERN, "x")
SAFE = Outgoing("tools/call", b'{"name":"x"}', Era.MODERN, "x", safe=True)


@asynccontextmanager
async def backend(
    *servers: ScriptedServer | str | None, weights: tuple[int, ...] = (),
    algorithm: str = "round_robin", retries: list[bool] | None = None,
) -> AsyncIterator[HttpBackend]:  # fmt: skip
    """Serve instances, None for one that is not there, an address for another; reach them."""
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(one.open()) if isinstance(one, ScriptedServer)
            else one or f"http://127.0.0.1:{free_port()}/mcp"
            for one in servers
        ]  # fmt: skip
        places = [Instance(url, weights[n] if weights else 1) for n, url in enumerate(urls)]
        server = Server("s", "http", "s", instances=tuple(places), routing=Routing(algorithm))
        client, tasks = make_client(), Tasks()
        try:
            told: list[bool] = [] if retries is None else retries
            known = [loose() for _ in places]
            instances = Instances(
                server, known, on_retry=lambda _server, withheld: told.append(withheld)
            )
            subject = HttpBackend(server, client, tasks, instances)
            yield subject
            await subject.close()
        finally:
            await tasks.cancel_all()
            await client.close()


async def ask(subject: HttpBackend, outgoing: Outgoing = CALL) -> str:
    """Call; return who answered."""
    sink = FutureSink()
    subject.call(outgoing, sink)
    return str(json.loads((await sink.wait(30.0)).body)["result"]["from"])


def instance(name: str) -> ScriptedServer:
    """Return a modern server of this name."""
    return ScriptedServer(name, modern=True, legacy=False)


@on_loop
async def test_calls_are_shared_out_by_weight() -> None:
    """Exactly."""
    async with backend(instance("a"), instance("b"), weights=(3, 1)) as subject:
        answered = Counter([await ask(subject) for _ in range(16)])
    assert answered == {"a": 12, "b": 4}


@on_loop
async def test_equal_targets_reach_equal_instances() -> None:
    """With consistent hashing."""
    servers = [instance(name) for name in "abc"]
    async with backend(*servers, algorithm="consistent_hash") as subject:
        assert len({await ask(subject) for _ in range(6)}) == 1
        others = {
            await ask(subject, Outgoing("tools/call", b'{"name":"t%d"}' % n, Era.MODERN, f"t{n}"))
            for n in range(30)
        }
    assert others == {"a", "b", "c"}


@on_loop
async def test_another_instance_stands_in_for_one_that_cannot_be_reached() -> None:
    """Nothing was sent to it, so even a call that may do harm is tried elsewhere."""
    async with backend(None, instance("b")) as subject:
        assert [await ask(subject) for _ in range(4)] == ["b"] * 4


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_another_instance_stands_in_for_one_that_swallows_connections(
    era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the loss of a host, which refuses nobody; whether or not a session comes first."""
    monkeypatch.setattr(streamable_http, "CONNECT_S", 0.2)
    other = ScriptedServer("b", modern=True, legacy=True)
    with black_hole() as hole:
        async with backend(hole, other) as subject:
            call = Outgoing("tools/call", b'{"name":"x"}', era, "x")
            assert [await ask(subject, call) for _ in range(2)] == ["b"] * 2


@on_loop
async def test_when_no_instance_can_be_reached_the_call_fails() -> None:
    """As unreachable."""
    for servers in ((None,), (None, None, None)):
        async with backend(*servers) as subject:
            with pytest.raises(BackendUnreachable):
                await ask(subject)


@on_loop
async def test_a_call_that_may_have_run_is_not_tried_again() -> None:
    """Unless it is safe to run twice."""
    for outgoing, runs in ((CALL, 1), (SAFE, 2)):
        first, second = instance("a"), instance("b")
        first.responses = [web.Response(status=502)]
        async with backend(first, second) as subject:
            if outgoing.safe:
                assert await ask(subject, outgoing) == "b"
            else:
                with pytest.raises(BackendLost):
                    await ask(subject, outgoing)
        assert len(first.requests) + len(second.requests) == runs


@on_loop
async def test_a_safe_call_is_tried_again_on_an_only_instance() -> None:
    """Once."""
    server = instance("a")
    server.responses = [web.Response(status=502)]
    async with backend(server) as subject:
        assert await ask(subject, SAFE) == "a"
        server.responses = [web.Response(status=502) for _ in range(2)]
        with pytest.raises(BackendError):
            await ask(subject, SAFE)
    assert len(server.requests) == 4


@on_loop
async def test_each_time_that_a_call_goes_on_is_told() -> None:
    """Not its first try, nor its end; the budget is asked only while there is a next try."""
    retries: list[bool] = []
    async with backend(None, None, instance("c"), retries=retries) as subject:
        assert await ask(subject) == "c"
        assert retries == [False] * 2
    retries.clear()
    server = instance("a")
    async with backend(server, retries=retries) as subject:
        server.responses = [web.Response(status=502) for _ in range(2)]
        with pytest.raises(BackendError):
            await ask(subject, SAFE)
        for _ in range(RESERVE - 1):
            server.responses = [web.Response(status=502)]
            assert await ask(subject, SAFE) == "a"
        assert retries == [False] * RESERVE
        server.responses = [web.Response(status=502)]
        with pytest.raises(BackendError):
            await ask(subject, SAFE)
        assert retries[RESERVE:] == [True]


@on_loop
async def test_a_cancelled_call_hears_nothing_more() -> None:
    """Its connection is given up; the next call is not harmed."""
    server = instance("a")
    sink = Sink()
    async with backend(server) as subject:
        cancel = subject.call(CALL, sink)
        cancel()
        cancel()
        assert await ask(subject) == "a"
    assert sink.heard == []


def begun(request_id: int) -> web.Response:
    """Answer with a task."""
    result = {"resultType": "task", "taskId": "t1"}
    return web.json_response({"jsonrpc": "2.0", "id": request_id, "result": result})


@on_loop
async def test_it_is_noted_where_a_task_began_and_only_that_instance_is_asked_for_it() -> None:
    """The others know nothing of it; of a server with one instance there is nothing to note."""
    one, two = instance("one"), instance("two")
    two.responses = [begun(1)]
    async with backend(one, two) as subject:
        places = []
        for _ in range(2):
            outgoing = replace(CALL)
            sink = FutureSink()
            subject.call(outgoing, sink)
            await sink.wait(30.0)
            places.append(outgoing.place)
        (place,) = [place for place in places if place]
        asked = [await ask(subject, replace(CALL, place=place)) for _ in range(3)]
        assert asked == ["two"] * 3
        with pytest.raises(BackendUnreachable, match="not configured any more"):
            await ask(subject, replace(CALL, place="http://127.0.0.1:1/mcp"))
    alone = instance("alone")
    alone.responses = [begun(1)]
    async with backend(alone) as subject:
        outgoing, sink = replace(CALL), FutureSink()
        subject.call(outgoing, sink)
        await sink.wait(30.0)
        assert outgoing.place == ""
