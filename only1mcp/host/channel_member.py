"""A connection to a server on a channel that serves one client at a time."""

import asyncio

import aiohttp

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.handshake import Hello
from only1mcp.errors import BackendUnreachable, Only1MCPError
from only1mcp.host.connection import Connection
from only1mcp.host.member import Tell, untold, unturned
from only1mcp.host.waiting_room import WaitingRoom
from only1mcp.protocol.client_features import Feature
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks

START_S = 30.0


class ChannelMember:
    """Implements `only1mcp.host.member.Member`: a process or connection of its own."""

    def __init__(
        self, server: Server, client: aiohttp.ClientSession, features: Feature, tasks: Tasks
    ) -> None:
        self.features = features
        self.ended = False
        self._server = server
        self.tell: Tell = untold
        self.turned = unturned
        self._connection = Connection(server, client, self._heard, features)
        self._waiting = WaitingRoom()
        self._hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._up = False
        self._living = tasks.spawn(self._live())

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(len(self._waiting)) or self._connection.session.busy

    @property
    def pid(self) -> int:
        """Its process; 0 when it has none."""
        return self._connection.pid

    async def hello(self) -> Hello:
        """Return what the server said when we met.

        Raises:
            BackendError: we did not.
        """
        return await asyncio.shield(self._hello)

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request, or have it wait for the start."""
        if self._up:
            return self._connection.session.call(outgoing, sink)
        if self.ended or self._waiting.full:
            sink.on_failure(self._unreachable())
            return lambda: None
        return self._waiting.enter(outgoing, sink)

    def notify(self, method: str) -> None:
        """Send a notification, if the server is there."""
        if self._up:
            self._connection.session.notify(method)

    def keep_questions(self) -> None:
        """Let questions wait for the next call: all are one client's, for good."""
        self._connection.session.keep_questions()

    def follow_client(self, stream: ReplySink | None) -> None:
        """Put questions of no call on the client's own stream from now on, while it has one."""
        self._connection.session.follow_client(stream)

    def _heard(self, message: Envelope) -> None:
        self.tell(message)

    async def _live(self) -> None:
        error: Only1MCPError = self._unreachable()
        try:
            hello = await self._connection.open(probe=False, patience_s=START_S)
            self._hello.set_result(hello)
            self._up = True
            self._waiting.send(self._connection.session.call)
            await self._connection.ended()
        except Only1MCPError as failure:
            error = failure
        finally:
            self._up, self.ended = False, True
            if not self._hello.done():
                self._hello.set_exception(error)
                self._hello.exception()  # nobody need wait for it
            self._waiting.fail(error)
            self.turned()

    async def stop(self) -> None:
        """End it properly."""
        self.ended = True
        await self._connection.close(orderly=True)
        self._living.cancel()
        await asyncio.wait({self._living})

    def _unreachable(self) -> BackendUnreachable:
        return BackendUnreachable(
            f"server {self._server.id} could not be started for this client",
            hint=f"see the log lines of server={self._server.id}", detail=self._connection.reason,
        )  # fmt: skip
