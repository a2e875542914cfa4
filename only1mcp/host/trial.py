"""One server tried by itself, outside of any gateway: met, listed, and ended."""

import time
from dataclasses import dataclass

import aiohttp

from only1mcp.backends.discovery import Asker, Deadline, discover_catalogue
from only1mcp.backends.handshake import Hello
from only1mcp.backends.http_backend import open_session
from only1mcp.backends.pipe_handshake import AnsweredLate
from only1mcp.backends.pipe_session import PipeAsker
from only1mcp.errors import BackendLost, Only1MCPError
from only1mcp.host.connection import Connection
from only1mcp.host.manner import Manner
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.server import Server
from only1mcp.tasks import Tasks
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


async def try_server(server: Server) -> Trial:
    """Meet a server and list what it offers; problems are returned, not raised."""
    trial = Trial(server)
    try:
        await (_try_http if server.transport == "http" else _try_channel)(server, trial)
    except Only1MCPError as error:
        hint = f". hint: {error.hint}" if error.hint else ""
        trial.problem = error.for_operator() + hint
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs one server, not the others
        trial.problem = f"internal error: {error!r}"
    return trial


async def _try_channel(server: Server, trial: Trial) -> None:
    """Try once more if the first start shows that the server is to be met otherwise."""
    client, manner = make_client(), Manner()
    try:
        try:
            await _try_connection(server, trial, client, manner)
        except (BackendLost, AnsweredLate) as error:
            manner.failed(error)
            await _try_connection(server, trial, client, manner)
    finally:
        await client.close()


async def _try_connection(
    server: Server, trial: Trial, client: aiohttp.ClientSession, manner: Manner
) -> None:
    began = time.monotonic()
    connection = Connection(server, client, lambda message: None)
    try:
        hello = await connection.open(probe=manner.probe, is_slow=manner.is_slow)
        asker = PipeAsker(connection.session, server.handshake_timeout_s)
        await _note(trial, began, hello, asker)
    except BackendLost as error:
        raise BackendLost(f"{error}: {connection.reason}", hint=error.hint) from None
    finally:
        await connection.close(orderly=True)


async def _try_http(server: Server, trial: Trial) -> None:
    client, tasks = make_client(), Tasks()
    try:
        for instance in server.instances:
            began = time.monotonic()
            session = open_session(server, client, tasks, instance.url)
            hello = await session.probe(both=True)
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
