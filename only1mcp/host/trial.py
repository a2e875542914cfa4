"""One server tried by itself, outside of any gateway: met, listed, and ended."""

import time
from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import Asker, Deadline, discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.backends.pipe_session import PipeSession, shake_hands
from only1mcp.errors import BackendLost, BackendTimeout, Only1MCPError
from only1mcp.host.environment import child_environment
from only1mcp.host.stdio_server import STOP_GRACE_S
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks
from only1mcp.transports.stdio import ChildProcess
from only1mcp.transports.streamable_http import make_client


@dataclass(slots=True)
class Trial:
    """What came of it."""

    server: Server
    catalogue: Catalogue | None = None
    meet_ms: float = 0.0
    """From the start to the end of the handshake."""
    list_ms: float = 0.0
    problem: str = ""
    """Empty when all went well."""


class _Probe:
    """A child under trial."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stderr: list[str] = []
        self.child: ChildProcess | None = None
        self.session = PipeSession(server.id, self._write, lambda message: None)

    async def start(self) -> None:
        command = [self._server.command, *self._server.args]
        env = child_environment(self._server.env)
        self.child = await ChildProcess.spawn(command, env, self._server.cwd, self)

    def _write(self, message: bytes) -> bool:
        return self.child is not None and self.child.write(message)

    async def request(self, outgoing: Outgoing) -> Envelope:
        return await self.session.request(outgoing, self._server.handshake_timeout_s)

    def on_line(self, line: bytes) -> None:
        self.session.on_line(line)

    def on_stderr(self, line: bytes) -> None:
        self._stderr = [*self._stderr[-4:], line.decode(errors="replace")[:300]]

    def on_exit(self, reason: str) -> None:
        said = f"; its last words: {' | '.join(self._stderr)}" if self._stderr else ""
        self.session.close(f"{reason}{said}")


async def try_server(server: Server) -> Trial:
    """Meet a server and list what it offers; problems are returned, not raised."""
    trial = Trial(server)
    try:
        if server.transport == "stdio":
            await _try_stdio(server, trial)
        else:
            await _try_http(server, trial)
    except Only1MCPError as error:
        trial.problem = f"{error}. hint: {error.hint}" if error.hint else str(error)
    return trial


async def _try_stdio(server: Server, trial: Trial) -> None:
    """Try with the probe; if the server cannot stand it, once more without."""
    try:
        await _try_child(server, trial, probe=True)
    except (BackendLost, BackendTimeout):
        await _try_child(server, trial, probe=False)


async def _try_child(server: Server, trial: Trial, *, probe: bool) -> None:
    began = time.monotonic()
    subject = _Probe(server)
    await subject.start()
    assert subject.child is not None
    try:
        hello = await shake_hands(subject.session, server.handshake_timeout_s, probe=probe)
        await _note(trial, began, hello, subject)
    finally:
        await subject.child.stop(STOP_GRACE_S)


async def _try_http(server: Server, trial: Trial) -> None:
    client, tasks = make_client(), Tasks()
    try:
        for instance in server.instances:
            began = time.monotonic()
            session = open_session(server, client, tasks, instance.url)
            hello = await session.probe()
            await _note(trial, began, hello, Deadline(session, server.handshake_timeout_s))
            await session.close()
    finally:
        await tasks.cancel_all()
        await client.close()


async def _note(trial: Trial, began: float, hello: Hello, asker: Asker) -> None:
    met = time.monotonic()
    trial.meet_ms = (met - began) * 1e3
    trial.catalogue = await discover_catalogue(trial.server.id, hello, asker)
    trial.list_ms = (time.monotonic() - met) * 1e3
