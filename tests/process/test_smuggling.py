"""What two readers could take for different requests: refused before either door, never served."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.counting_backend import CountingBackend
from tests.support.gateway import Gateway
from tests.support.mcp_client import META, McpClient, modern_headers
from tests.support.zoo import zoo


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway in front of a server that counts."""

    gateway: Gateway
    backend: CountingBackend


@pytest.fixture(scope="module", params=[False, True], ids=["compiled", "pure"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Run both, with the compiled parts and with their twins."""
    with CountingBackend("modern") as backend:
        config = zoo({"id": "a", "transport": "http", "url": backend.url})
        with Gateway(config, pure=request.param) as gateway:
            yield Site(gateway, backend)


def _call(text: str) -> bytes:
    params = {"name": "a__echo", "arguments": {"text": text}, "_meta": META}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


BODY = _call("smuggled")
_SAID = modern_headers("tools/call", "a__echo").items()
COMMON = "".join(f"{name}: {value}\r\n" for name, value in _SAID).encode()
LINE, HOST = b"POST /mcp HTTP/1.1\r\n", b"Host: localhost\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
WHOLE = LINE + HOST + COMMON + LENGTH + b"\r\n" + BODY


def with_length(extra: bytes, line: bytes = LINE, host: bytes = HOST) -> bytes:
    """Write a call with one more header."""
    return line + host + extra + COMMON + LENGTH + b"\r\n" + BODY


def with_coding(coding: bytes, line: bytes = LINE, chunks: bytes = CHUNKS) -> bytes:
    """Write a call in chunks, or what somebody might take for it."""
    return line + HOST + COMMON + coding + b"\r\n" + chunks


def in_chunks(chunks: bytes) -> bytes:
    """Write a call whose chunks are odd; another call stands behind it."""
    return with_coding(CHUNKED, chunks=chunks) + WHOLE


SIZE = b"%x" % len(BODY)
CASES = {
    "length and chunks": with_coding(LENGTH + CHUNKED),
    "chunks and length": with_coding(CHUNKED + LENGTH),
    "length 0 and chunks": with_coding(b"Content-Length: 0\r\n" + CHUNKED),
    "two lengths": with_length(b"Content-Length: 0\r\n"),
    "the same length twice": with_length(LENGTH),
    "a list of lengths": LINE + HOST + COMMON + LENGTH.replace(b"\r\n", b", 5\r\n\r\n") + BODY,
    **{f"length {value!r}": LINE + HOST + COMMON + b"Content-Length:%b\r\n\r\n" % value + WHOLE
       for value in (b" +0", b" -0", b" 0x0", b" 0_0", b" 0 0", b" 0.0", b"", b" ", b" \x0b0",
                     b" 0;", b" 9" * 30)},
    "two codings": with_coding(CHUNKED * 2),
    **{f"coding {value!r}": with_coding(b"Transfer-Encoding:%b\r\n" % value)
       for value in (b" identity", b" gzip, chunked", b" chunked, identity", b" chunked, chunked",
                     b" xchunked", b" chunked;a=b", b' "chunked"', b" \x0bchunked", b"",
                     b" ,chunked", b" chunked\x0c")},
    "chunks in HTTP/1.0": with_coding(CHUNKED, line=b"POST /mcp HTTP/1.0\r\n"),
    "a space before the colon": with_coding(b"Transfer-Encoding : chunked\r\n"),
    "an underscore": with_length(b"Transfer_Encoding: chunked\r\n"),
    "an underscore in a length": with_length(b"Content_Length: 0\r\n"),
    "a folded coding": with_coding(b"Transfer-Encoding:\r\n chunked\r\n"),
    "a folded value": with_length(b"X: a\r\n b\r\n"),
    "a folded value, with a tab": with_length(b"X: a\r\n\tTransfer-Encoding: chunked\r\n"),
    "a header that begins with a space": with_length(b" X: a\r\n", host=b""),
    "two hosts": with_length(b"Host: other\r\n"),
    "the same host twice": with_length(HOST),
    "no host": with_length(b"", host=b""),
    "two types": with_length(b"Content-Type: text/plain\r\n"),
    "two authorizations": with_length(b"Authorization: a\r\nAuthorization: b\r\n"),
    "two origins": with_length(b"Origin: http://localhost\r\nOrigin: http://localhost\r\n"),
    "a bare LF": with_length(b"X: a\nTransfer-Encoding: chunked\r\n"),
    "LF at the end of the line": WHOLE.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
    "LF at the end of the head": WHOLE.replace(b"\r\n\r\n", b"\r\n\n"),
    "only LF": WHOLE.replace(b"\r\n", b"\n"),
    "a bare CR": with_length(b"X: a\rTransfer-Encoding: chunked\r\n"),
    "NUL": with_length(b"X: a\0b\r\n"),
    "a control character": with_length(b"X: a\x01\r\n"),
    "DEL": with_length(b"X: a\x7f\r\n"),
    "NUL in a name": with_length(b"X\0: a\r\n"),
    "a name that is not ASCII": with_length(b"\xc3\xa9: a\r\n"),
    "no name": with_length(b": a\r\n"),
    "no colon": with_length(b"X\r\n"),
    "a name in brackets": with_length(b"[X]: a\r\n"),
    **{f"version {value!r}": with_length(b"", line=b"POST /mcp %b\r\n" % value)
       for value in (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/1.10", b"http/1.1", b"HTTP/1,1",
                     b"HTTP /1.1", b"HTTP/1.1 ", b"HTTPS/1.1", b"HTTP/1.", b"HTTP/+1.1", b"")},
    **{f"target {value!r}": with_length(b"", line=b"POST %b HTTP/1.1\r\n" % value)
       for value in (b"http://localhost/mcp", b"localhost:80", b"*", b"mcp", b"/mcp x", b"/m\tcp",
                     b"/mcp\x7f", b"/\xc3\xa9", b"")},
    "another space in the line": with_length(b"", line=b"POST  /mcp HTTP/1.1\r\n"),
    "a tab in the line": with_length(b"", line=b"POST\t/mcp\tHTTP/1.1\r\n"),
    "a method in lower case": with_length(b"", line=b"post /mcp HTTP/1.1\r\n"),
    "a method of signs": with_length(b"", line=b"P@ST /mcp HTTP/1.1\r\n"),
    "an empty line first": b"\r\n" + WHOLE,
    **{f"chunk size {size!r}": in_chunks(size + b"\r\n" + BODY + b"\r\n0\r\n\r\n")
       for size in (b"+" + SIZE, b"-1", b"0x" + SIZE, SIZE + b"_0", b" " + SIZE, b"",
                    b"\x0b" + SIZE, b"g", SIZE + b",", SIZE + b";a\0", b"f" * 17)},
    "a chunk size that ends with LF": in_chunks(SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n"),
    "an extension that ends with LF": in_chunks(SIZE + b";a\n" + BODY + b"\r\n0\r\n\r\n"),
    "a bare CR in an extension": in_chunks(SIZE + b";a\rb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is too long": in_chunks(b"1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that ends with LF": in_chunks(SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n"),
    "a trailer without a name": in_chunks(CHUNKS[:-2] + b": a\r\n\r\n"),
    "a folded trailer": in_chunks(CHUNKS[:-2] + b"X: a\r\n b\r\n\r\n"),
    "a trailer that ends with LF": in_chunks(CHUNKS[:-2] + b"X: a\n\r\n"),
}  # fmt: skip
ALIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
FINE = WHOLE.replace(b"smuggled", b"harmless")


def _answer(connection: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response


@pytest.mark.parametrize("before", [b"", FINE, ALIVE], ids=["new", "lane", "aiohttp"])
@pytest.mark.parametrize("name", CASES)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_served(
    site: Site, name: str, before: bytes
) -> None:
    """On a new connection, on one of the fast lane, and on one that aiohttp serves."""
    with socket.create_connection(("127.0.0.1", site.gateway.port), timeout=20) as connection:
        if before:
            connection.sendall(before)
            assert _answer(connection).status == 200
        with contextlib.suppress(ConnectionError):  # refused before we were done
            connection.sendall(CASES[name] + b"\r\n\r\n" + WHOLE)
        response = _answer(connection)
        assert (response.status, response.getheader("Connection")) == (400, "close")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    with McpClient(site.gateway.port) as client:  # what was sent before it, has arrived before it
        assert client.call("a__echo", text="after") == "after"
    assert site.backend.texts["smuggled"] == 0


@pytest.mark.parametrize("name", ["Mcp-Method", "Mcp-Name", "MCP-Protocol-Version"])
def test_a_header_of_mcp_that_stands_twice_is_refused(site: Site, name: str) -> None:
    """The framing is certain, so the connection lives on."""
    value = dict(_SAID)[name]
    with socket.create_connection(("127.0.0.1", site.gateway.port), timeout=20) as connection:
        connection.sendall(with_length(f"{name}: {value}\r\n".encode()))
        assert _answer(connection).status == 400
        connection.sendall(ALIVE)
        assert _answer(connection).status == 200
    assert site.backend.texts["smuggled"] == 0


@pytest.mark.parametrize("trailer", [b"Host: other\r\n", b"Mcp-Name: other\r\n", b"X: y\r\n"])
def test_a_trailer_changes_nothing(site: Site, trailer: bytes) -> None:
    """It is dropped, whatever it says."""
    body = _call(f"trailing {trailer!r}")
    chunks = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)
    with socket.create_connection(("127.0.0.1", site.gateway.port), timeout=20) as connection:
        connection.sendall(with_coding(CHUNKED, chunks=chunks))
        assert _answer(connection).status == 200
    assert site.backend.texts[f"trailing {trailer!r}"] > 0
