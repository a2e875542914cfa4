"""Clients that do not read what they asked for: they cost a connection for a time, not for ever."""

import http.client
import json
import socket
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

TEXT = "x" * 3_000_000
"""More than the buffer of the client holds, by far."""


def _request(text: str = TEXT, number: int = 1) -> bytes:
    params = {"name": "a__echo", "arguments": {"text": text}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
    headers = {**modern_headers("tools/call", "a__echo"), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}".encode()


def _next_message(stream: BinaryIO) -> Any:
    """Read one of several answers on a connection."""
    assert stream.readline().startswith(b"HTTP/1.1 200 ")
    fields = dict(line.lower().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
    return json.loads(stream.read(int(fields[b"content-length"])))


def _is_connected(gateway: Gateway, client_port: int) -> bool:
    """Say whether the gateway's end of a client's connection is there."""
    ends = f":{gateway.port:04X} ", f":{client_port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(ends[0] in line and ends[1] in line.partition(ends[0])[2] for line in lines)


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_a_client_that_does_not_read_its_answers_is_let_go(pure: bool) -> None:
    """After the idle timeout; nobody else notices."""
    config = zoo(animal("a", "tame"), limits={"idle_timeout": "2s"})
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


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@pytest.mark.parametrize("size", [60, 9_000, 30_000])
def test_answers_come_whole_and_in_order_to_a_client_that_reads_late(pure: bool, size: int) -> None:
    """It asks for all of them at once; what its buffer has no room for waits at ours."""
    count = 3_000_000 // (size + 1_000)
    config = zoo(animal("a", "tame"))
    with Gateway(config, pure=pure) as gateway, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", gateway.port))
        requests = b"".join(_request(f"{n:x<{size}}", n) for n in range(count))
        asking = threading.Thread(target=connection.sendall, args=(requests,))
        asking.start()
        stream = connection.makefile("rb")
        for number in range(count):
            message = _next_message(stream)
            assert message["id"] == number
            assert message["result"]["content"][0]["text"] == f"{number:x<{size}}"
        asking.join()
