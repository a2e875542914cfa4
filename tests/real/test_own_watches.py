"""Clients that can be asked watch resources of a legacy server on connections of their own."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from only1mcp.transports.stdio import descendants
from tests.real.http_server import HttpServer
from tests.real.installed import ALLOWED, NODE, node_server, program
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY, McpClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real
UPDATED = "notifications/resources/updated"
ONE, OTHER = (f"demo://resource/dynamic/text/{number}" for number in (1, 2))
TRANSPORTS = ("stdio", "streamableHttp", "sse")


class Client:
    """A legacy client that can be asked, and its stream."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._client = stack.enter_context(McpClient(port).initialize(roots={}, sampling={}))
        self._stream = stack.enter_context(EventStream(port, str(self._client.session)))
        self._last_id = 100
        self.ask("tools/list")  # what such clients are offered has been found out by then

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request; return its result, whatever is told before."""
        self._last_id += 1
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        headers = {**HEADERS, "Mcp-Session-Id": str(self._client.session),
                   "MCP-Protocol-Version": LEGACY}  # fmt: skip
        _, said = self._client.exchange("POST", json.dumps(body).encode(), headers)
        lines = [line[6:] for line in said.splitlines() if line.startswith(b"data: {")]
        message = json.loads(lines[-1] if lines else said)
        assert message["id"] == self._last_id
        return message["result"]

    def watch(self, uri: str) -> None:
        """Watch a resource."""
        assert self.ask("resources/subscribe", uri=uri) == {}

    def toggle(self) -> None:
        """Have the server begin to tell this client of updates, or end that."""
        self.ask("tools/call", name="srv__toggle-subscriber-updates", arguments={})

    def heard(self) -> str:
        """Return the resource that is told of next."""
        return str(self._stream.until(UPDATED)["params"]["uri"])

    def leave(self) -> None:
        """End the session."""
        assert self._client.end_session() == 200


@dataclass
class Scene:
    """A gateway before server-everything, and clients."""

    gateway: Gateway
    site: HttpServer | None
    """The server, where it is no child of the gateway."""
    stack: ExitStack

    def client(self) -> Client:
        """Open a session."""
        return Client(self.gateway.port, self.stack)

    def processes(self) -> set[int]:
        """Return the server's processes: the shared one, and those of single clients."""
        return {pid for pid in descendants(self.gateway.pid) if _runs(pid, b"server-everything")}

    def process_of(self, client: Client, uri: str) -> int:
        """Have a client watch a resource; return the process that this makes."""
        before = self.processes()
        client.watch(uri)
        (made,) = self.processes() - before
        return made


def _runs(pid: int, program_name: bytes) -> bool:
    try:
        return program_name in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return False


@contextmanager
def scene(transport: str, *, pure: bool = False) -> Iterator[Scene]:
    """Run both for the time of a block."""
    with ExitStack() as stack:
        site, server = None, node_server("srv", "server-everything", "stdio")
        if transport != "stdio":
            command = [NODE, str(program("server-everything")), transport]
            site = stack.enter_context(HttpServer(command))
            path = "sse" if transport == "sse" else "mcp"
            kind = "sse" if transport == "sse" else "http"
            server = {"id": "srv", "transport": kind, "url": f"http://127.0.0.1:{site.port}/{path}"}
        config = {"stdio": {"allowed_commands": ALLOWED}, "servers": [server]}
        gateway = stack.enter_context(Gateway(config, workers=2, pure=pure))
        yield Scene(gateway, site, stack)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_client_hears_of_what_it_watches_and_of_nothing_else(
    transport: str, pure: bool
) -> None:
    """The server tells each session of its own subscriptions; what is let go is told no more."""
    with scene(transport, pure=pure) as stage:
        one, other = stage.client(), stage.client()
        one.watch(ONE)
        other.watch(OTHER)
        for client, uri in ((one, ONE), (other, OTHER), (one, ONE)):
            client.toggle()  # it tells at once, and then every few seconds
            assert client.heard() == uri
            client.toggle()
        assert one.ask("resources/unsubscribe", uri=ONE) == {}
        one.watch(OTHER)
        one.toggle()
        assert one.heard() == OTHER


def test_a_process_that_dies_is_made_again_for_who_watches_there() -> None:
    """What may have been missed counts as updated; the next updates come from the new one."""
    with scene("stdio") as stage:
        client = stage.client()
        process = stage.process_of(client, ONE)
        os.kill(process, signal.SIGKILL)
        assert client.heard() == ONE
        client.toggle()
        assert client.heard() == ONE


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_a_server_that_was_restarted_is_asked_again_to_tell(transport: str) -> None:
    """Its client need do nothing."""
    with scene(transport) as stage:
        client = stage.client()
        client.watch(ONE)
        assert stage.site is not None
        stage.site.kill()
        stage.site.start()
        assert client.heard() == ONE
        client.toggle()
        assert client.heard() == ONE


def test_a_server_that_was_changed_is_asked_again_to_tell() -> None:
    """A reload starts another process for each client that watches; its client need do nothing."""
    with scene("stdio") as stage:
        client = stage.client()
        process = stage.process_of(client, ONE)
        server = node_server("srv", "server-everything", "stdio", CHANGED="yes")
        stage.gateway.configure({"stdio": {"allowed_commands": ALLOWED}, "servers": [server]})
        stage.gateway.command("reload", "--json", "--port", str(stage.gateway.port))
        assert client.heard() == ONE
        client.toggle()
        assert client.heard() == ONE
        wait_until(lambda: process not in stage.processes(), "the process before is gone")


def test_nothing_stays_behind_when_a_client_ends() -> None:
    """Its process ends, and is not made again for what it watched."""
    with scene("stdio") as stage:
        client, witness = stage.client(), stage.client()
        gone, left = stage.process_of(client, ONE), stage.process_of(witness, OTHER)
        before = stage.processes()
        client.leave()
        wait_until(lambda: gone not in stage.processes(), "the process is gone")
        os.kill(left, signal.SIGKILL)
        assert witness.heard() == OTHER  # this one is made again, the other is not
        assert len(stage.processes() - before) == 1
