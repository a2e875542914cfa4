"""The worker process: accept, serve, drain, exit."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Sequence
from functools import partial

from only1mcp.ingress.unread import has_unread
from only1mcp.memory.processes import ProcessRow, State, row_index
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context
from only1mcp.tasks import until
from only1mcp.worker.reload import follow
from only1mcp.worker.stand_in import StandIn
from only1mcp.worker.wiring import Graph, build

_log = logging.getLogger(__name__)
BACKLOG = 4096
PARTING_S = 2.0
"""How long clients of a worker that others follow may take until their next request, whose answer
tells them to come on another connection. Closing one that is idle may cross a request."""
AT_ONCE = 16
"""Connections that a worker lets in in one turn of its loop: libuv takes one for each handle of a
listening socket, and a busy worker would come to the last of a crowd after seconds."""
YOUNG_OBJECTS = 10_000
"""So many are made before Python looks for cycles among them. At its own 700 the looking took a
twelfth of the CPU of a call that is translated between revisions; other processes keep to that, for
what reloads leave there would lie about for hours."""
_ORPHAN_DRAIN_S = 0.5
_CUT_S = 0.1
_LOOK_S = 0.02


async def serve_worker(context: Context, lifecycle: Lifecycle) -> None:
    """Be a worker until told to stop, then finish what is under way."""
    gc.set_threshold(YOUNG_OBJECTS)
    graph = build(context)
    await graph.start()
    own = context.listener
    assert own is not None
    servers = await _accept_on(own, graph)
    stand_in = StandIn(context.known, lambda sock: _accept_on(sock, graph), graph.tasks)
    lifecycle.watch.on_turn = graph.shedding.turned
    lifecycle.ready(partial(follow, graph), stand_in.follow)
    await lifecycle.stopping.wait()
    stand_in.close()
    graph.door.pages.draining = True
    if graph.lane is not None:
        graph.lane.stop_keeping()
    graph.channels.drain()
    for server in servers:
        server.close()
    graph.audience.close()
    is_the_end = lifecycle.orphaned or _is_the_end(context)
    for listener in {own, *context.known}:
        if is_the_end or listener is own:  # the last holder ends what waits there
            await _accept_the_rest(listener, graph)
        listener.close()
    if not is_the_end:
        await until(lambda: not graph.connections.open, PARTING_S, _LOOK_S)
    drain_s = graph.settings.shutdown_timeout_s
    await _drain(graph, _ORPHAN_DRAIN_S if lifecycle.orphaned else drain_s)
    await graph.close()


async def _accept_on(listener: socket.socket, graph: Graph) -> Sequence[asyncio.AbstractServer]:
    """Begin to accept clients."""
    _bound_silence(listener, graph.settings.limits.idle_timeout_s)
    loop = asyncio.get_running_loop()
    return [
        await loop.create_server(graph.make_front, sock=listener.dup(), backlog=BACKLOG)
        for _ in range(AT_ONCE)
    ]


def _is_the_end(context: Context) -> bool:
    """Say whether the whole gateway stops: nobody is there for clients who would come back."""
    supervisor = context.shared.memory.process_row(row_index("supervisor"))
    return ProcessRow(supervisor).state is State.DRAINING


def _bound_silence(listener: socket.socket, timeout_s: float) -> None:
    """Have the kernel end connections whose clients take nothing of what waits for them so long.

    What is accepted inherits it from the listener. No timer of ours would see all of it: a client
    may stop to read when the last bytes of its answer are with the transport or the kernel.
    """
    milliseconds = max(1, round(timeout_s * 1000))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


async def _accept_the_rest(listener: socket.socket, graph: Graph) -> None:
    """Take the connections that the kernel has completed already: they are promises.

    Then let go of the socket. With its last holder's end nobody can connect any more; when a next
    generation of workers holds it too, they go on with it.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError), listener:
        for _ in range(BACKLOG):  # new ones may come as fast as these are taken
            connection, _ = listener.accept()
            await loop.connect_accepted_socket(graph.make_front, connection)


async def _drain(graph: Graph, timeout_s: float) -> None:
    """Let requests finish and their answers go out; idle connections are closed after a moment."""
    await asyncio.sleep(0.05)  # requests whose bytes have arrived get to be read
    for connection in graph.http.connections:
        reads = connection in graph.channels.read_from  # aiohttp reads from none that it closes
        if not reads and not has_unread(connection.transport):
            connection.close()
    _let_go(graph)
    try:
        async with asyncio.timeout(timeout_s):
            # aiohttp reads from no connection once it shuts down.
            await until(lambda: not graph.channels.read_from, timeout_s, _LOOK_S)
            await graph.http.shutdown(2 * timeout_s)
            await _until_closed(graph)
    except TimeoutError:
        _log.warning("requests were cut off: the drain took longer than %g s", timeout_s)
        await graph.http.shutdown(_CUT_S)


async def _until_closed(graph: Graph) -> None:
    while graph.connections.open:  # nobody says when the last answer has gone out
        await asyncio.sleep(0.02)
        _let_go(graph)


def _let_go(graph: Graph) -> None:
    """Close connections that no parser has yet, and on which nothing is under way."""
    graph.connections.let_go()
    if graph.lane is not None:
        graph.lane.drain()
