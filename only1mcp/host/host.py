"""The host process: puts servers, links and the health board together."""

import asyncio
import contextlib
import logging
from collections.abc import Hashable
from typing import Any

import orjson

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink, Respond
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.health.board import HOST
from only1mcp.health.manager import HealthReporter
from only1mcp.host.channel_server import ChannelServer
from only1mcp.host.http_server import HttpServer
from only1mcp.host.link_sink import LinkSink
from only1mcp.host.orphans import kill_descendants, reap_orphans
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.variants import Variants
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from only1mcp.links.wire import CallFrame, decode_numbered
from only1mcp.process import prctl
from only1mcp.process.child import Lifecycle
from only1mcp.process.context import Context
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import make_client

LEGACY = "legacy"
"""What `only1mcp.proxy.learning` calls the question after legacy revisions."""
_log = logging.getLogger(__name__)
SUBSCRIPTIONS = frozenset({"resources/subscribe", "resources/unsubscribe"})
SETTLE_S = 3.0
"""The longest that a lesson waits, after a start, for servers that are slow to start."""


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
        self._settled = asyncio.Event()
        """Set once each server has answered or failed."""
        self._asked: dict[tuple[Link, int], dict[int, Respond]] = {}
        """Questions of servers that callers are yet to answer, by their number."""
        self._lessons: dict[str, asyncio.Task[None]] = {}
        self._variants = Variants(self._on_variant)
        observer = Observer(
            self._on_status, self._on_catalogue, self._on_updated, self._on_logged, self._on_task,
            self._on_said,
        )  # fmt: skip
        self._servers: dict[str, ChannelServer | HttpServer] = {}
        self._index: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        for index, server in enumerate(context.shared.settings.servers):
            self._index[server.id] = index
            self._unsettled.add(server.id)
            kind = HttpServer if server.transport == "http" else ChannelServer
            self._servers[server.id] = kind(server, observer, self._tasks, self._client)
        if not self._unsettled:
            self._settled.set()

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
        return {pid for server in self._servers.values() for pid in server.pids}

    def link(self) -> Link:
        """Make our end of a new link; the worker hears what is known as soon as it is open."""
        link = Link(self._on_frame, self._on_close, self._greet)
        self._links.add(link)
        return link

    def _greet(self, link: Link) -> None:
        for catalogue in self._known.values():
            link.send(Kind.EVENT, 0, _catalogue_event(catalogue))
        for (features, _), catalogue in self._variants.known.items():
            link.send(Kind.EVENT, 0, _variant_event(features, catalogue))
        if not self._unsettled:
            link.send(Kind.EVENT, 0, b'{"settled":true}')

    def _on_close(self, link: Link) -> None:
        self._links.discard(link)
        for owner, token in list(self._under_way):
            if owner is link:
                cancel = self._under_way[owner, token]
                self._forget(owner, token)
                cancel()
        for server in self._servers.values():
            self._unwatched(server, server.watches.drop_link(link))
            server.task_watches.drop_link(link)

    def _on_frame(self, link: Link, kind: Kind, token: int, payload: bytes) -> None:
        if kind is Kind.CANCEL:
            cancel = self._under_way.get((link, token))
            self._forget(link, token)
            if cancel is not None:
                cancel()
        elif kind is Kind.CALL:
            self._call(link, token, CallFrame.decode(payload))
        elif kind is Kind.RESPOND:
            number, member = decode_numbered(payload)
            respond = self._asked.get((link, token), {}).pop(number, None)
            if respond is not None:
                respond(member)
        elif kind is Kind.NOTE:
            self._take_note(link, orjson.loads(payload))

    def _take_note(self, link: Link, note: dict[str, Any]) -> None:
        """Take what a worker tells that concerns no call."""
        for action in ("watch", "unwatch"):
            if action in note:
                server_id, uri, number = note[action]
                method = f"resources/{action.replace('watch', 'subscribe')}"
                self._tasks.spawn(self._watch(server_id, method, uri, (link, number)))
        if "watch_task" in note:
            server_id, task_id, number = note["watch_task"]
            self._servers[server_id].task_watches.watch(task_id, (link, number))
        if "unwatch_task" in note:
            server_id, task_id, number = note["unwatch_task"]
            self._servers[server_id].task_watches.unwatch(task_id, (link, number))
        if "ended" in note:
            self._broadcast(orjson.dumps({"ended": note["ended"]}))
            for server in self._servers.values():
                self._unwatched(server, server.watches.drop({note["ended"]}))
                server.pool.end_session(note["ended"])
        if "roots" in note:
            for server in self._servers.values():
                server.pool.notify(note["roots"], "notifications/roots/list_changed")
        if "learn" in note:
            self._tasks.spawn(self._teach(link, note["learn"]))

    async def _teach(self, link: Link, topic: str) -> None:
        """Find out what a worker needs to know, once for all, and say when that is done."""
        lesson = self._lessons.get(topic)
        if lesson is None:
            lesson = self._lessons[topic] = self._tasks.spawn(self._learn(topic))
        await asyncio.wait({lesson})
        link.send(Kind.EVENT, 0, orjson.dumps({"learned": topic}))

    async def _learn(self, topic: str) -> None:
        servers = list(self._servers.values())
        if topic == LEGACY:
            https = [server for server in servers if isinstance(server, HttpServer)]
            await asyncio.gather(*(server.learn_both_eras() for server in https))
        else:
            # The first client may come while servers start, and is to see what they offer it.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), SETTLE_S)
            legacy = [
                server for server in servers
                if (known := self._known.get(server.server.id)) and Era.LEGACY in known.eras
            ]  # fmt: skip
            features = Feature(int(topic))
            self._variants.features.add(features)  # for servers that come later
            await asyncio.gather(*(self._variants.learn(features, [s]) for s in legacy))

    def _unwatched(self, server: ChannelServer | HttpServer, uris: list[str]) -> None:
        """Tell a server what nobody watches any more."""
        if uris and server.feed is not None:
            self._tasks.spawn(server.feed.forget(uris))

    async def _watch(self, server_id: str, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer; of a server that is down, once it is back."""
        server = self._servers[server_id]
        if server.feed is None:
            server.watches.note(method, uri, holder)
            return
        try:
            await server.watch(method, uri, holder)
        except Only1MCPError as error:
            _log.info("%s: %s", method, error, extra={"server": server_id})

    async def _subscribe(self, frame: CallFrame, sink: ReplySink) -> None:
        """Carry out a legacy client's `resources/subscribe` or its opposite."""
        params = orjson.loads(frame.params)
        try:
            server = self._servers[frame.server_id]
            if server.feed is None and frame.method == "resources/unsubscribe":
                server.watches.remove(params["uri"], frame.session)
            else:
                await server.watch(frame.method, params["uri"], frame.session)
        except Only1MCPError as error:
            sink.on_failure(error)
        else:
            sink.on_reply(scan(jsonrpc.result(b"0", b"{}")))

    def _call(self, link: Link, token: int, frame: CallFrame) -> None:
        server = self._servers.get(frame.server_id)
        questions: dict[int, Respond] = {}
        self._asked[link, token] = questions
        answer = LinkSink(self._forget, link, token, questions)
        if server is not None and frame.method in SUBSCRIPTIONS:
            self._under_way[link, token] = _nothing
            self._tasks.spawn(self._subscribe(frame, answer))
            return
        if server is None:
            answer.on_failure(BackendUnreachable(f"server {frame.server_id} is not run here"))
            return
        outgoing = Outgoing(
            frame.method, frame.params, Era(frame.era), features=Feature(frame.features),
            session=frame.session, level=frame.level, own=frame.own,
            token=None if frame.token is None else frame.token.encode(),
        )  # fmt: skip
        self._under_way[link, token] = _nothing
        cancel = server.call(outgoing, answer)
        if (link, token) in self._under_way:
            self._under_way[link, token] = cancel

    def _forget(self, link: Link, token: int) -> None:
        self._under_way.pop((link, token), None)
        self._asked.pop((link, token), None)

    def _on_catalogue(self, catalogue: Catalogue, kinds: frozenset[str]) -> None:
        """Take what a server offers; workers get it before their clients hear of the change."""
        known = self._known.get(catalogue.server_id)
        self._metrics.tools(self._index[catalogue.server_id], len(catalogue.tools))
        if known != catalogue:
            self._known[catalogue.server_id] = catalogue
            self._broadcast(_catalogue_event(catalogue))
        differs = catalogue.differs(known) if known is not None else frozenset()
        if (kinds | differs or known is None) and Era.LEGACY in catalogue.eras:
            self._tasks.spawn(self._variants.relearn(self._servers[catalogue.server_id]))
        if kinds - differs:  # of differences the workers tell, each of what it has shown
            self._broadcast(orjson.dumps({"changed": sorted(kinds - differs)}))

    def _on_variant(self, features: Feature, catalogue: Catalogue) -> None:
        self._broadcast(_variant_event(features, catalogue))

    def _on_updated(self, server_id: str, uri: str, params: bytes) -> None:
        holders = self._servers[server_id].watches.holders(uri)
        serials = [holder for holder in holders if isinstance(holder, int)]
        event = {"updated": uri, "params": params.decode(), "sessions": serials}
        self._broadcast(orjson.dumps(event))

    def _on_logged(self, server_id: str, params: bytes) -> None:
        del server_id
        self._broadcast(orjson.dumps({"logged": params.decode()}))

    def _on_task(self, server_id: str, task_id: str, params: bytes) -> None:
        self._broadcast(orjson.dumps({"task": [server_id, task_id], "params": params.decode()}))

    def _on_said(self, server_id: str, serial: int, message: Envelope) -> None:
        event = {"said": [server_id, serial], "message": message.body.decode()}
        self._broadcast(orjson.dumps(event))

    def _on_status(self, status: ServerStatus) -> None:
        if status.restarts > self._restarts.get(status.id, 0):
            self._restarts[status.id] = status.restarts
            self._metrics.restart(self._index[status.id])
        self._reporter.say(status.id, status.to_plain())
        if status.state is not ServerState.STARTING and status.id in self._unsettled:
            self._unsettled.discard(status.id)
            if not self._unsettled:
                self._settled.set()
                self._broadcast(b'{"settled":true}')

    def _broadcast(self, event: bytes) -> None:
        for link in self._links:
            link.send(Kind.EVENT, 0, event)


def _nothing() -> None:
    """There is nothing to cancel yet."""


def _variant_event(features: Feature, catalogue: Catalogue) -> bytes:
    return orjson.dumps({"variant": int(features), "catalogue": catalogue.to_plain()})


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
