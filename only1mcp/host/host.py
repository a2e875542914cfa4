"""The host process: puts servers, links and the health board together."""

import asyncio
import logging

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.health.board import HOST
from only1mcp.health.manager import HealthReporter
from only1mcp.host.http_server import HttpServer
from only1mcp.host.orphans import kill_descendants, reap_orphans
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.stdio_server import StdioServer
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from only1mcp.links.wire import CallFrame, encode_failure
from only1mcp.process import prctl
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import make_client

_log = logging.getLogger(__name__)


class Host:
    """Owns the servers; serves the workers' calls to the stdio ones, tells them of all."""

    def __init__(self, context: Context, reporter: HealthReporter) -> None:
        self._metrics = context.metrics
        self._reporter = reporter
        self._tasks = Tasks()
        self._client = make_client()
        self._links: set[Link] = set()
        self._under_way: dict[tuple[Link, int], Cancel] = {}
        self._known: dict[str, Catalogue] = {}
        self._unsettled: set[str] = set()
        observer = Observer(self._on_status, self._on_catalogue)
        self._servers: dict[str, StdioServer | HttpServer] = {}
        self._index: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        for index, server in enumerate(context.shared.settings.servers):
            self._index[server.id] = index
            self._unsettled.add(server.id)
            self._servers[server.id] = (
                StdioServer(server, observer, self._tasks) if server.transport == "stdio"
                else HttpServer(server, observer, self._tasks, self._client)
            )  # fmt: skip

    def start(self) -> None:
        """Start all servers, at the same time."""
        for server in self._servers.values():
            server.start()

    async def stop(self) -> None:
        """End all servers properly, at the same time."""
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        await self._tasks.cancel_all()
        await self._client.close()

    def child_pids(self) -> set[int]:
        """Return the pids of the children that run now."""
        return {server.status.pid for server in self._servers.values()}

    def link(self) -> Link:
        """Make our end of a new link; the worker hears what is known as soon as it is open."""
        link = Link(self._on_frame, self._on_close, self._greet)
        self._links.add(link)
        return link

    def _greet(self, link: Link) -> None:
        for catalogue in self._known.values():
            link.send(Kind.EVENT, 0, _catalogue_event(catalogue))
        if not self._unsettled:
            link.send(Kind.EVENT, 0, b'{"settled":true}')

    def _on_close(self, link: Link) -> None:
        self._links.discard(link)
        for owner, token in list(self._under_way):
            if owner is link:
                self._under_way.pop((owner, token))()

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        if kind is Kind.CANCEL:
            cancel = self._under_way.pop((link, token), None)
            if cancel is not None:
                cancel()
        elif kind is Kind.CALL:
            self._call(link, token, CallFrame.decode(payload))

    def _call(self, link: Link, token: int, frame: CallFrame) -> None:
        server = self._servers.get(frame.server_id)
        answer = _LinkSink(self._under_way, link, token)
        if not isinstance(server, StdioServer):
            answer.on_failure(BackendUnreachable(f"server {frame.server_id} is not run here"))
            return
        outgoing = Outgoing(frame.method, frame.params, Era(frame.era))
        self._under_way[link, token] = lambda: None
        cancel = server.call(outgoing, answer)
        if (link, token) in self._under_way:
            self._under_way[link, token] = cancel

    def _on_catalogue(self, catalogue: Catalogue) -> None:
        known = self._known.get(catalogue.server_id)
        self._metrics.tools(self._index[catalogue.server_id], len(catalogue.tools))
        if known == catalogue:
            return
        self._known[catalogue.server_id] = catalogue
        self._broadcast(_catalogue_event(catalogue))

    def _on_status(self, status: ServerStatus) -> None:
        if status.restarts > self._restarts.get(status.id, 0):
            self._restarts[status.id] = status.restarts
            self._metrics.restart(self._index[status.id])
        self._reporter.say(status.id, status.to_plain())
        if status.state is not ServerState.STARTING and status.id in self._unsettled:
            self._unsettled.discard(status.id)
            if not self._unsettled:
                self._broadcast(b'{"settled":true}')

    def _broadcast(self, event: bytes) -> None:
        for link in self._links:
            link.send(Kind.EVENT, 0, event)


class _LinkSink:
    """Sends a call's end back over the link it came from."""

    def __init__(self, under_way: dict[tuple[Link, int], Cancel], link: Link, token: int) -> None:
        self._under_way = under_way
        self._link = link
        self._token = token

    def on_reply(self, reply: Envelope) -> None:
        self._under_way.pop((self._link, self._token), None)
        self._link.send(Kind.REPLY, self._token, reply.body)

    def on_failure(self, error: Only1MCPError) -> None:
        self._under_way.pop((self._link, self._token), None)
        self._link.send(Kind.FAILED, self._token, encode_failure(error))


def _catalogue_event(catalogue: Catalogue) -> bytes:
    return orjson.dumps({"catalogue": catalogue.to_plain()})


async def serve_host(context: Context, lifecycle: Lifecycle) -> None:
    """Be the host until told to stop."""
    shared = context.shared
    prctl.adopt_orphans()
    reporter = HealthReporter(HOST, shared.runtime_dir.board_socket, shared.board_key)
    host = Host(context, reporter)
    reporter.start()
    links = await serve(shared.runtime_dir.host_socket, host.link)
    host.start()
    reaping = Tasks()
    reaping.spawn(reap_orphans(host.child_pids))
    lifecycle.ready()
    await lifecycle.stopping.wait()
    links.close()
    if not lifecycle.orphaned:
        await host.stop()
    await reaping.cancel_all()
    kill_descendants()
