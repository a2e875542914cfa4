"""One stdio server: its child process, kept alive, and the calls on it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, ReplySink
from only1mcp.backends.discovery import discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.pipe_session import PipeSession, shake_hands
from only1mcp.errors import BackendLost, BackendTimeout, BackendUnreachable, Only1MCPError
from only1mcp.host.environment import child_environment
from only1mcp.host.feed import Feed, Hearing
from only1mcp.host.relisting import Relisting
from only1mcp.host.status import Observer, ServerState, ServerStatus
from only1mcp.host.watches import Watches
from only1mcp.registry.server import Server
from only1mcp.resilience.restart_policy import RestartPolicy
from only1mcp.tasks import Tasks
from only1mcp.transports.stdio import ChildProcess

_log = logging.getLogger(__name__)
STOP_GRACE_S = 2.0
MAX_WAITING = 1000
_STDERR_KEPT = 5
_STDERR_LOGGED = 2000


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that came while the child started."""

    outgoing: Outgoing
    sink: ReplySink
    cancel: Cancel | None = None
    """Set once it was sent."""


class StdioServer:
    """Starts the child, meets it, serves calls on it, and starts it again when it ends.

    Calls that come while the child starts wait for it; while it is down they fail at once.
    """

    def __init__(self, server: Server, observer: Observer, tasks: Tasks) -> None:
        self.server = server
        self.status = ServerStatus(server.id, server.transport)
        self._observer = observer
        self._tasks = tasks
        self._policy = RestartPolicy()
        self._session: PipeSession | None = None
        self._child: ChildProcess | None = None
        self._waiting: deque[_Waiting] = deque()
        self._probe = True
        self._hello: Hello | None = None
        self._stderr: deque[str] = deque(maxlen=_STDERR_KEPT)
        self._stderr_lines = 0
        self._relisting = Relisting(server.id, self._list_again, tasks)
        self.watches = Watches()
        self._hearing = Hearing(server.id, self.watches, observer, self._relisting, tasks)
        self.feed: Feed | None = None
        """None while the server is down."""
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin; returns at once."""
        self._loop_task = self._tasks.spawn(self._run())

    async def stop(self) -> None:
        """End the child properly."""
        self._stopping = True
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
        self._set_state(ServerState.STOPPED)
        self._fail_waiting()

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request to the child, or have it wait for a child that starts."""
        if self.status.state is ServerState.UP and self._session is not None:
            return self._session.call(outgoing, sink)
        if self.status.state is not ServerState.STARTING or len(self._waiting) >= MAX_WAITING:
            sink.on_failure(self._unreachable())
            return lambda: None
        entry = _Waiting(outgoing, sink)
        self._waiting.append(entry)
        return lambda: self._abandon(entry)

    async def watch(self, method: str, uri: str, holder: Hashable) -> None:
        """Have a resource watched, or no longer.

        Raises:
            BackendError: the server is down, or refuses.
        """
        if self.feed is None:
            raise BackendUnreachable(f"server {self.server.id} is {self.status.state}")
        change = self.feed.subscribe if method == "resources/subscribe" else self.feed.unsubscribe
        await change(uri, holder)

    def _abandon(self, entry: "_Waiting") -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif entry.cancel is not None:
            entry.cancel()

    def _unreachable(self) -> BackendUnreachable:
        return BackendUnreachable(
            f"server {self.server.id} is {self.status.state}: {self.status.detail}",
            hint=f"see `only1mcp status` and the log lines of server={self.server.id}",
        )

    async def _run(self) -> None:
        while True:
            self._set_state(ServerState.STARTING)
            self._policy.started(time.monotonic())
            try:
                await self._live()
            except BackendLost:
                pass  # the child ended, and `on_exit` has said why
            except Only1MCPError as error:
                self._set_detail(str(error))
            wait_s = self._policy.ended(time.monotonic())
            parked = self._policy.parked
            if wait_s:
                self._set_state(ServerState.PARKED if parked else ServerState.DOWN)
                self._fail_waiting()
            _log.warning(
                "server ended; next start in %g s%s", wait_s, " (parked)" if parked else "",
                extra={"server": self.server.id, "detail": self.status.detail},
            )  # fmt: skip
            await asyncio.sleep(wait_s)
            self.status.restarts += 1

    async def _live(self) -> None:
        """Carry one child from its start to its end."""
        self._stderr.clear()
        self._stderr_lines = 0
        session = PipeSession(self.server.id, self._write, self._on_notification)
        command = [self.server.command, *self.server.args]
        env = child_environment(self.server.env)
        self._session = session
        child = await ChildProcess.spawn(command, env, self.server.cwd, self)
        self._child = child
        self.status.pid = child.pid
        try:
            self._hello = await self._meet(session)
            await self._list_again(self._relisting.take())
            self._set_state(ServerState.UP)
            while self._waiting:
                entry = self._waiting.popleft()
                entry.cancel = session.call(entry.outgoing, entry.sink)
            await self._attend(session, self._hello, child)
            raise BackendLost(self.status.detail or "the process ended")
        finally:
            await self._end(child)

    async def _attend(self, session: PipeSession, hello: Hello, child: ChildProcess) -> None:
        """Listen to the server while its process lives."""
        asker = _PipeAsker(session, self.server.handshake_timeout_s)
        self.feed = Feed(self._hearing, session, asker, hello)
        listening = self._tasks.spawn(self.feed.run())
        self._relisting.start()
        try:
            await child.exited.wait()
        finally:
            self.feed = None
            listening.cancel()

    async def _end(self, child: ChildProcess) -> None:
        if self._stopping:
            await child.stop(STOP_GRACE_S)
        elif not child.exited.is_set():
            child.kill()
            await child.exited.wait()
        self.status.pid = 0
        self._child = self._session = None

    async def _meet(self, session: PipeSession) -> Hello:
        """Shake hands; a server that cannot stand the probe is spared it from then on."""
        try:
            return await shake_hands(session, self.server.handshake_timeout_s, probe=self._probe)
        except (BackendLost, BackendTimeout):
            self._probe = not self._probe
            raise

    async def _list_again(self, kinds: frozenset[str]) -> None:
        session, hello = self._session, self._hello
        if session is None or hello is None:
            return
        asker = _PipeAsker(session, self.server.handshake_timeout_s)
        catalogue = await discover_catalogue(self.server.id, hello, asker)
        self.status.note(catalogue)
        self._observer.on_catalogue(catalogue, kinds)

    def _write(self, message: bytes) -> bool:
        return self._child is not None and self._child.write(message)

    def _on_notification(self, message: Envelope) -> None:
        if self.feed is not None:
            self.feed.heard(message)
        elif (message.method or "").endswith("/list_changed"):
            self._relisting.note(message.method or "")

    def on_line(self, line: bytes) -> None:
        """Take a line of the child's standard output."""
        if self._session is not None:
            self._session.on_line(line)

    def on_stderr(self, line: bytes) -> None:
        """Log a line of the child's standard error; a flood is cut."""
        text = line.decode(errors="replace")
        self._stderr.append(text[:300])
        self._stderr_lines += 1
        if self._stderr_lines < _STDERR_LOGGED:
            _log.info("stderr: %s", text, extra={"server": self.server.id})
        elif self._stderr_lines == _STDERR_LOGGED:
            _log.warning("stderr: no more of it is logged", extra={"server": self.server.id})

    def on_exit(self, reason: str) -> None:
        """Fail what was under way; the loop starts the next child."""
        detail = f"{reason}; its last words: {' | '.join(self._stderr)}" if self._stderr else reason
        self._set_detail(detail)
        if self._session is not None:
            self._session.close(reason)

    def _fail_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().sink.on_failure(self._unreachable())

    def _set_detail(self, detail: str) -> None:
        self.status.detail = detail

    def _set_state(self, state: ServerState) -> None:
        self.status.state = state
        if state is ServerState.UP:
            self.status.detail = ""
        self._observer.on_status(self.status)


class _PipeAsker:
    """Asks in our own name on a pipe session."""

    def __init__(self, session: PipeSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def request(self, outgoing: Outgoing) -> Envelope:
        return await self._session.request(outgoing, self._timeout_s)
