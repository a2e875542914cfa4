"""An HTTP server as a worker reaches it: a session for each instance, a load balancer between."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.batcher import Batcher, OnBatch, uncounted
from only1mcp.backends.call import NOTHING, Cancel, Outgoing, ReplySink
from only1mcp.backends.http_session import HttpSession
from only1mcp.backends.instances import Chosen, Instances
from only1mcp.backends.keeper import Keeper, alone
from only1mcp.errors import (
    BackendBusy,
    BackendError,
    BackendLost,
    BackendUnreachable,
    Only1MCPError,
)
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import StreamableHttp

_log = logging.getLogger(__name__)


class HttpBackend:
    """Sends each call to one instance; to another when the first cannot be reached."""

    def __init__(
        self, server: Server, client: aiohttp.ClientSession, tasks: Tasks, instances: Instances,
        before: "HttpBackend | None" = None, keep: Callable[[Server, str], Keeper] = alone,
        on_batch: OnBatch = uncounted,
    ) -> None:  # fmt: skip
        self._server = server
        self._tasks = tasks
        self._calls: set[asyncio.Task[None]] = set()
        self.instances = instances
        kept = before._shared_with(server) if before is not None else {}
        self.sessions = [
            kept.get(place.url)
            or open_session(
                server, client, tasks, place.url, keeper=keep(server, place.url), on_batch=on_batch
            )
            for place in server.instances
        ]
        self._urls = [place.url for place in server.instances]

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
        """Ask one instance after the other, as long as that cannot do harm."""
        if outgoing.place:
            return await self._ask(self.instances.at(self._at(outgoing.place)), outgoing, sink)
        count, tried = len(self.sessions), 0
        last: Only1MCPError | None = None
        for left in reversed(range(max(count, 2))):
            try:
                chosen = self.instances.choose(outgoing, tried if count > 1 else 0)
            except BackendUnreachable as error:
                raise last or error from None
            if last is not None:
                self.instances.sent_again()
            tried |= 1 << chosen.place
            try:
                reply = await self._ask(chosen, outgoing, sink)
            except (BackendUnreachable, BackendLost) as error:
                last = error
                if not (left and self._may_go_on(error, outgoing)):
                    break
            else:
                if count > 1 and reply.result_type == "task":
                    outgoing.place = self._urls[chosen.place]
                return reply
        raise last or BackendUnreachable("the server has no instance")

    def _may_go_on(self, error: Only1MCPError, outgoing: Outgoing) -> bool:
        """Say whether a call can do no harm that is sent on after such a failure."""
        if isinstance(error, BackendUnreachable):
            if len(self.sessions) == 1:
                return False
            if not isinstance(error, BackendBusy):
                return True
        return outgoing.safe and self.instances.may_repeat()

    async def _ask(self, chosen: Chosen, outgoing: Outgoing, sink: ReplySink) -> Envelope:
        """Ask one instance, and take down what became of it."""
        instances = self.instances
        try:
            reply = await self.sessions[chosen.place].request(outgoing, sink)
        except BackendError as error:
            instances.failed(chosen.place, chosen.token, error.for_operator())
            raise
        except BaseException:
            if outgoing.timed_out:
                instances.failed(chosen.place, chosen.token, "no answer in time")
            else:
                instances.abandoned(chosen)
            raise
        finally:
            instances.ended(chosen)
        instances.answered(chosen)
        return reply

    def _at(self, url: str) -> int:
        """Return the place of one instance, which alone knows what it is asked about."""
        if url not in self._urls:
            raise BackendUnreachable("the instance that holds the task is not configured any more")
        return self._urls.index(url)

    def _shared_with(self, server: Server) -> dict[str, HttpSession]:
        """Return the sessions that a successor can go on with, by their addresses."""
        ours = self._server
        same = ("headers", "handshake_timeout_s", "batching")
        if any(getattr(ours, name) != getattr(server, name) for name in same):
            return {}
        return dict(zip(self._urls, self.sessions, strict=True))

    async def retire(self, successor: "HttpBackend | None", timeout_s: float) -> None:
        """End what a successor has not taken over, once the calls under way have ended."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout_s)
        kept = successor.sessions if successor is not None else []
        ours = [session for session in self.sessions if session not in kept]
        await asyncio.gather(*(session.close() for session in ours))

    async def close(self) -> None:
        """End the sessions with the server."""
        await asyncio.gather(*(session.close() for session in self.sessions))


def open_session(
    server: Server, client: aiohttp.ClientSession, tasks: Tasks, url: str,
    features: Feature = NOTHING, keeper: Keeper | None = None, on_batch: OnBatch | None = None,
) -> HttpSession:  # fmt: skip
    """Return our standing with one instance of a server; nothing is sent yet.

    Calls travel together only where somebody counts that.
    """
    wire = StreamableHttp(client, server.id, url, dict(server.headers))
    batcher = None
    if server.batching is not None and on_batch is not None:
        batcher = Batcher(server.id, wire, server.batching, tasks, on_batch)
    return HttpSession(
        server.id, wire, server.handshake_timeout_s, tasks, features, keeper, batcher
    )


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
