"""Bodies that many clients send and never finish: a worker holds so much of them, and no more."""

import contextlib
import http.client
import json
import secrets
import select
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line

KIB, MIB = 1024, 1024 * 1024


def _request(size: int, text: str, **more: str) -> bytes:
    """Write a call with a body of this size, head and all."""
    params = {"name": "a__echo", "arguments": {"text": text, "more": ""}, "_meta": META}
    message = {"jsonrpc": "2.0", "id": text, "method": "tools/call", "params": params}
    params["arguments"]["more"] = "x" * (size - len(json.dumps(message)))  # type: ignore[index]
    body = json.dumps(message)
    said = {**modern_headers("tools/call", "a__echo"), "Content-Length": str(len(body)), **more}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}".encode()


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # refused in the middle
        connection.sendall(data)


def _read(connection: socket.socket) -> tuple[http.client.HTTPResponse, dict[str, object]]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response, json.loads(response.read())


def _refused(connections: list[socket.socket]) -> list[socket.socket]:
    """Return those on which an answer stands."""
    return select.select(connections, [], [], 0)[0]


def _is_on_its_way(connection: socket.socket) -> bool:
    """Say whether the gateway is yet to read some of what was sent, as the kernel's table tells."""
    ours, theirs = (f":{number:04X}" for number in
                    (connection.getsockname()[1], connection.getpeername()[1]))  # fmt: skip
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        sent, received = (int(one, 16) for one in queues.split(":"))
        if local.endswith(ours) and remote.endswith(theirs) and sent:
            return True
        if local.endswith(theirs) and remote.endswith(ours) and received:
            return True
    return False


def _decided(connections: list[socket.socket]) -> list[socket.socket] | None:
    """Return those that are refused once the others have been read; None until then."""
    on_their_way = [one for one in connections if _is_on_its_way(one)]
    refused = _refused(connections)
    return refused if set(on_their_way) <= set(refused) else None


def _rss(gateway: Gateway) -> int:
    (worker,) = gateway.pids("worker")
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * KIB


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@pytest.mark.parametrize("size", [60 * KIB, 300 * KIB], ids=["lane", "aiohttp"])
def test_bodies_beyond_the_bound_are_refused_and_the_others_served(pure: bool, size: int) -> None:
    """With 503, a time to come back, and a hint; then there is room again."""
    count = 20
    limits = {"max_body": size, "max_buffered": 10 * size, "header_timeout": "60s"}
    with CountingBackend("modern") as backend, ExitStack() as stack:
        config = zoo({"id": "a", "transport": "http", "url": backend.url}, limits=limits)
        gateway = stack.enter_context(Gateway(config, pure=pure))
        requests = {
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), 20)):
            _request(size, f"text {number}") for number in range(count)
        }  # fmt: skip
        connections = list(requests)
        for connection, request in requests.items():
            _send(connection, request[:-10])
        refused = wait_until(lambda: _decided(connections), "each is read or refused")
        assert len(refused) >= count - 10
        for connection in refused:
            response, message = _read(connection)
            assert (response.status, response.getheader("Retry-After")) == (503, "1")
            assert message["error"]["code"] == 32004  # type: ignore[index]
            assert "`proxy.limits.max_buffered`" in message["error"]["message"]  # type: ignore[index]
        served = [one for one in connections if one not in refused]
        assert served
        for connection in served:
            _send(connection, requests[connection][-10:])
            response, message = _read(connection)
            assert (response.status, "result" in message) == (200, True)
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="y" * (size // 2)) == "y" * (size // 2)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_bodies_that_are_never_finished_do_not_fill_the_memory(pure: bool) -> None:
    """However many clients send them; calls of others go on."""
    limits = {"max_buffered": "16MiB", "header_timeout": "60s"}
    with CountingBackend("modern") as backend, ExitStack() as stack:
        config = zoo({"id": "a", "transport": "http", "url": backend.url}, limits=limits)
        gateway = stack.enter_context(Gateway(config, pure=pure))
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="warm") == "warm"
        before = _rss(gateway)
        connections = []
        for number in range(60):
            connection = socket.create_connection(("127.0.0.1", gateway.port), 20)
            connections.append(stack.enter_context(connection))
            _send(connection, _request(4 * MIB, f"text {number}")[:-10])
        wait_until(lambda: len(_refused(connections)) >= 56, "refusals")
        assert _rss(gateway) - before < 64 * MIB
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="on") == "on"


STRANGER = (
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Accept: application/json, text/event-stream\r\n"
)
UNFINISHED = {
    "plain": b"Content-Length: 60000\r\n\r\n",
    "odd": b"X-Odd: 1\r\nContent-Length: 60000\r\n\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\nea60\r\n",
}


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@pytest.mark.parametrize("begun", UNFINISHED.values(), ids=list(UNFINISHED))
def test_strangers_take_no_room_from_those_with_a_key(begun: bytes, pure: bool) -> None:
    """Nobody knows who they are while they send; others are heard meanwhile."""
    key = "o1_" + secrets.token_urlsafe(32)
    limits = {"max_body": 128 * KIB, "max_buffered": 256 * KIB, "header_timeout": "60s"}
    with CountingBackend("modern") as backend, ExitStack() as stack:
        config = zoo({"id": "a", "transport": "http", "url": backend.url}, limits=limits)
        config["auth"] = {"keys": [{"id": "ann", "key_env": "KEY_ANN"}]}
        gateway = stack.enter_context(Gateway(config, pure=pure, env={"KEY_ANN": key}))
        address = ("127.0.0.1", gateway.port)
        strangers = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(6)]
        for stranger in strangers:
            _send(stranger, STRANGER + begun + b"x" * 50_000)
        wait_until(lambda: _decided(strangers) is not None, "each is read or refused")
        ann = stack.enter_context(socket.create_connection(address, 20))
        _send(ann, _request(20 * KIB, "ann", Authorization=f"Bearer {key}"))
        response, message = _read(ann)
        assert (response.status, "result" in message) == (200, True)


def _unheard(port: int) -> socket.socket:
    """Open a WebSocket whose client will not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: mcp\r\n\r\n"
    )
    return connection


def _frame(number: int, size: int) -> bytes:
    """Write a call as a text frame, masked with zeros."""
    params = {"name": "a__echo", "arguments": {"text": "x" * size}, "_meta": META}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    return b"\x81\xff" + len(body).to_bytes(8) + bytes(4) + body


def _given_up(gateway: Gateway, connections: list[socket.socket]) -> int:
    """Count those whose other end is established no more: the kernel may yet send what it has."""
    ports = {f"{connection.getsockname()[1]:04X}" for connection in connections}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if local.endswith(f":{gateway.port:04X}") and state == "01":
            ports.discard(remote.rpartition(":")[2])
    return len(ports)


def _fill(gateway: Gateway, connection: socket.socket) -> None:
    """Send calls with large answers, and wait until they have ended, or the client was given up."""
    before = gateway.log.count('"msg":"tools/call"')
    for number in range(7):
        _send(connection, _frame(number, 3 * MIB))
    wait_until(
        lambda: (
            gateway.log.count('"msg":"tools/call"') >= before + 7
            or _given_up(gateway, [connection])
        ),
        "the end of the calls",
    )


def test_answers_that_wait_on_channels_count_among_those_that_clients_leave_unread() -> None:
    """Each is within the bound of its own; all together are not, and the longest waits end."""
    config = zoo(animal("a", "tame"), limits={"max_buffered": "16MiB"}, listen={"websocket": True})
    with Gateway(config) as gateway, ExitStack() as stack:
        channels = [stack.enter_context(_unheard(gateway.port)) for _ in range(8)]
        for connection in channels:  # one after the other, or the server takes no more input
            _fill(gateway, connection)
        wait_until(lambda: _given_up(gateway, channels) >= 4, "half of them are given up")
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="on") == "on"
