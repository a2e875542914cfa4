"""Clients that do not read what they asked for: they cost a connection for a time, not for ever."""

import http.client
import json
import socket
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

TEXT = "x" * 3_000_000
"""More than the buffer of the client holds, by far."""


def _request() -> bytes:
    params = {"name": "a__echo", "arguments": {"text": TEXT}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {**modern_headers("tools/call", "a__echo"), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}".encode()


def _is_connected(gateway: Gateway, client_port: int) -> bool:
    """Say whether the gateway's end of a client's connection is there."""
    ends = f":{gateway.port:04X} ", f":{client_port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(ends[0] in line and ends[1] in line.partition(ends[0])[2] for line in lines)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_client_that_does_not_read_its_answers_is_let_go(pure: bool) -> None:
    """After the idle timeout; nobody else notices."""
    config = zoo(animal("a", "tame"), limits={"idle_timeout": "500ms"})
    with Gateway(config, pure=pure) as gateway, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gateway.port))
        port = connection.getsockname()[1]
        assert _is_connected(gateway, port)
        connection.sendall(_request())
        wait_until(lambda: not _is_connected(gateway, port), "the connection is ended")
        with McpClient(gateway.port) as client:
            assert client.call("a__echo", text="hello") == "hello"


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_client_that_reads_gets_all_of_it_however_small_its_buffer(pure: bool) -> None:
    """Only who takes nothing at all is let go."""
    config = zoo(animal("a", "tame"), limits={"idle_timeout": "2s"})
    with Gateway(config, pure=pure) as gateway, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(_request())
        response = http.client.HTTPResponse(connection)
        response.begin()
        message = json.loads(response.read())
    assert message["result"]["content"][0]["text"] == TEXT
