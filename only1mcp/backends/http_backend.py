"""An HTTP server as a worker reaches it: a session for each instance, a load balancer between."""

import asyncio
import logging

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import NOTHING, Cancel, Outgoing, ReplySink
from only1mcp.backends.http_session import HttpSession
from only1mcp.errors import BackendLost, BackendUnreachable, Only1MCPError
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.server import Server
from only1mcp.routing.load_balancer import make_load_balancer
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp

_log = logging.getLogger(__name__)


class HttpBackend:
    """Sends each call to one instance; to another when the first cannot be reached."""

    def __init__(
        self, server: Server, client: aiohttp.ClientSession, tasks: Tasks, virtual_nodes: int,
        before: "HttpBackend | None" = None,
    ) -> None:  # fmt: skip
        self._server = server
        self._tasks = tasks
        self._calls: set[asyncio.Task[None]] = set()
        kept = before._shared_with(server) if before is not None else {}
        self._sessions = [
            kept.get(place.url) or open_session(server, client, tasks, place.url)
            for place in server.instances
        ]
        self._urls = [place.url for place in server.instances]
        self._balancer = make_load_balancer(server.algorithm, server.instances, virtual_nodes)

    @property
    def only_session(self) -> HttpSession | None:
        """The session with the only instance; None when there are several."""
        return self._sessions[0] if len(self._sessions) == 1 else None

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; the returned function abandons it and its connection."""
        task = self._tasks.spawn(self._run(outgoing, sink))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return lambda: _cancel(task)

    async def _run(self, outgoing: Outgoing, sink: ReplySink) -> None:
        try:
            reply = await self._request(outgoing, sink)
        except Only1MCPError as error:
            sink.on_failure(error)
            return
        sink.on_reply(reply)

    async def _request(self, outgoing: Outgoing, sink: ReplySink) -> Envelope:
        if outgoing.place:
            return await self._at(outgoing.place).request(outgoing, sink)
        first = self._balancer.pick((outgoing.target or outgoing.method).encode())
        count = len(self._sessions)
        last: Only1MCPError = BackendUnreachable("the server has no instance")
        for step in range(max(count, 2)):
            session = self._sessions[(first + step) % count]
            try:
                reply = await session.request(outgoing, sink)
            except BackendUnreachable as error:
                last = error
                if count == 1:
                    break
            except BackendLost as error:
                last = error
                if not outgoing.safe:
                    break
            else:
                if count > 1 and reply.result_type == "task":
                    outgoing.place = self._urls[(first + step) % count]
                return reply
        raise last

    def _at(self, url: str) -> HttpSession:
        """Return the session with one instance, which alone knows what it is asked about."""
        if url not in self._urls:
            raise BackendUnreachable("the instance that holds the task is not configured any more")
        return self._sessions[self._urls.index(url)]

    def _shared_with(self, server: Server) -> dict[str, HttpSession]:
        """Return the sessions that a successor can go on with, by their addresses."""
        ours = self._server
        if (ours.headers, ours.handshake_timeout_s) != (server.headers, server.handshake_timeout_s):
            return {}
        return dict(zip(self._urls, self._sessions, strict=True))

    async def retire(self, successor: "HttpBackend | None", timeout_s: float) -> None:
        """End what a successor has not taken over, once the calls under way have ended."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout_s)
        kept = successor._sessions if successor is not None else []
        ours = [session for session in self._sessions if session not in kept]
        await asyncio.gather(*(session.close() for session in ours))

    async def close(self) -> None:
        """End the sessions with the server."""
        await asyncio.gather(*(session.close() for session in self._sessions))


def open_session(
    server: Server, client: aiohttp.ClientSession, tasks: Tasks, url: str,
    features: Feature = NOTHING,
) -> HttpSession:  # fmt: skip
    """Return our standing with one instance of a server; nothing is sent yet."""
    wire = StreamableHttp(client, server.id, url, dict(server.headers))
    return HttpSession(server.id, wire, server.handshake_timeout_s, tasks, features)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
