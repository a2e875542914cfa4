"""What is no session (any more) is told so, by every worker and whatever is asked of it."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from loadtests.sessions import growth_kib
from only1mcp.sessions.session import MAX_AGE_S, SessionSealer
from tests.support import stdio_child
from tests.support.accepted import accepting_pid
from tests.support.gateway import Gateway
from tests.support.loop import on_loop
from tests.support.mcp_client import HEADERS, LEGACY, McpClient
from tests.support.processes import Herd
from tests.support.waiting import PATIENCE_S, wait_until

WORKERS = 4
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
MAX_GROWTH_KIB = 8 * 1024


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration with four workers."""
    with Gateway(None, workers=WORKERS) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def doors(gateway: Gateway) -> Iterator[list[McpClient]]:
    """Hold two connections to each worker: one for POST, one for the rest, which goes slower."""
    with contextlib.ExitStack() as stack:
        held: dict[int, list[McpClient]] = {pid: [] for pid in gateway.pids("worker")}

        def connect() -> bool:
            client = stack.enter_context(McpClient(gateway.port))
            client.http.connect()
            assert client.http.sock is not None
            port = client.http.sock.getsockname()[1]
            pid = accepting_pid(held, gateway.port, port)
            if pid and len(held[pid]) < 2:
                held[pid].append(client)
            return all(len(clients) == 2 for clients in held.values())

        wait_until(connect, "two connections to each worker")
        yield [client for pair in held.values() for client in pair]


def _statuses(doors: list[McpClient], session: str) -> list[int]:
    """Use a session id on every worker: POST on its first connection, GET and DELETE after it."""
    headers = {**HEADERS, "Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
    found = []
    for post, others in zip(doors[::2], doors[1::2], strict=True):
        found.append(_exchange(post, "POST", PING, headers))
        found.append(_exchange(others, "GET", None, {**headers, "Accept": "text/event-stream"}))
        found.append(_exchange(others, "DELETE", None, headers))
    return found


def _exchange(client: McpClient, verb: str, body: bytes | None, headers: dict[str, str]) -> int:
    response, _ = client.exchange(verb, body, headers)
    return response.status


def _open(gateway: Gateway) -> str:
    with McpClient(gateway.port) as client:
        return client.initialize().session or ""


REFUSED = [404] * 3 * WORKERS


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(lambda _: 0, id="key"),
        pytest.param(lambda _: 1, id="dot"),
        pytest.param(lambda _: 2, id="nonce"),
        pytest.param(lambda size: size // 2, id="secret"),
        pytest.param(lambda size: size - 12, id="tag"),
        pytest.param(lambda size: size - 1, id="end"),
    ],
)
def test_an_altered_session_id_is_unknown_to_every_worker(
    gateway: Gateway, doors: list[McpClient], place: Callable[[int], int]
) -> None:
    """In whichever of its parts a character is another one; the id itself stays good."""
    session = _open(gateway)
    at = place(len(session))
    for other in "A", "B":
        if session[at] != other:
            assert _statuses(doors, session[:at] + other + session[at + 1 :]) == REFUSED
    for altered in (
        session[:at],
        session[:at] + session[at + 1 :],
        session[:at] + "A" + session[at:],
    ):
        if altered:
            assert _statuses(doors, altered) == REFUSED
    with McpClient(gateway.port, session) as client:
        assert client.request("ping")[0] == 200


def test_an_ended_session_is_refused_by_every_worker(
    gateway: Gateway, doors: list[McpClient]
) -> None:
    """For POST, GET and DELETE, from the moment that DELETE was answered."""
    with McpClient(gateway.port) as client:
        session = client.initialize().session or ""
        assert client.end_session() == 200
    assert _statuses(doors, session) == REFUSED


def test_an_expired_session_is_refused_by_every_worker(
    gateway: Gateway, doors: list[McpClient]
) -> None:
    """It was sealed with the gateway's own key, and would be good if it were younger."""
    (key,) = (gateway.directory / "home").rglob("session.key")
    sealer = SessionSealer(key.read_bytes())
    now = int(time.clock_gettime(time.CLOCK_REALTIME))

    def session(created: int) -> str:
        return sealer.seal(sealer.create(LEGACY, b"{}", b"", created))

    with McpClient(gateway.port, session(now - MAX_AGE_S + 3600)) as client:
        assert client.request("ping")[0] == 200
    assert _statuses(doors, session(now - MAX_AGE_S - 1)) == REFUSED
    assert _statuses(doors, SessionSealer(bytes(32)).seal(
        sealer.create(LEGACY, b"{}", b"", now))) == REFUSED  # fmt: skip


def test_ended_sessions_leave_no_process_of_theirs_behind() -> None:
    """A client that can be asked has a server process of its own, for as long as its session."""
    server = {"id": "t", "command": sys.executable, "args": [stdio_child.__file__]}
    config = {"stdio": {"allowed_commands": [sys.executable]}, "servers": [server]}
    with Gateway(config, workers=WORKERS) as gateway, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_askable(gateway)) for _ in range(5)]
        pids = [int(json.loads(client.call("t__echo"))[0]) for client in clients]
        with Herd(pids) as own:
            assert len(own.alive) == len(clients)
            assert gateway.server("t")["pid"] not in own.pids
            assert [client.end_session() for client in clients] == [200] * len(clients)
            own.wait_gone(PATIENCE_S)


def _askable(gateway: Gateway) -> McpClient:
    """Return a legacy client that can be asked for input."""
    client = McpClient(gateway.port)
    params = {
        "protocolVersion": LEGACY, "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "test", "version": "1"},
    }  # fmt: skip
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    response, _ = client.exchange("POST", json.dumps(body).encode(), HEADERS)
    client.session = response.getheader("Mcp-Session-Id")
    return client


@on_loop
async def test_sessions_cost_the_gateway_no_memory() -> None:
    """They live in their ids: thousands of them leave every process as large as it was."""
    with Gateway(None, workers=WORKERS) as gateway:
        grown = await growth_kib(gateway, warm_up=2000, calls=5000)
    assert sum(grown.values()) < MAX_GROWTH_KIB, grown
