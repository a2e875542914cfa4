"""The rules of HTTP at the real data port: what is refused, with which status and words."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY, META, MODERN, McpClient, modern_headers
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

MAX_BODY, MAX_HEADER = 16 * 1024, 4 * 1024


@pytest.fixture(scope="module", params=[False, True], ids=["compiled", "pure"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Run a gateway with small limits, with the compiled parts and with their twins."""
    limits = {"max_body": MAX_BODY, "max_header": MAX_HEADER, "header_timeout": "300ms"}
    config = zoo(animal("a", "tame"), limits=limits, allowed_hosts=["gw.example"],
                 allowed_origins=["https://app.example"])  # fmt: skip
    with Gateway(config, workers=2, pure=request.param) as gateway:
        yield gateway


def _raw(gateway: Gateway, data: bytes) -> tuple[int, bytes]:
    """Send bytes and read until the gateway closes; returns status and body."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(data)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def _head(gateway: Gateway, data: bytes) -> tuple[bytes, http.client.HTTPMessage]:
    """Send bytes; returns the status line and the headers of the answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as answer:
            return answer.readline(), http.client.parse_headers(answer)


def _send(
    gateway: Gateway, verb: str, path: str = "/mcp", body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    with McpClient(gateway.port) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.exchange(verb, body, named, path)


def _call(request_id: object = 1, **changes: Any) -> bytes:
    params = {"name": "a__echo", "arguments": {"text": "x"}, "_meta": META}
    message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    return json.dumps({**message, **changes}).encode()


CALL = modern_headers("tools/call", "a__echo")


@pytest.mark.parametrize("request_id", [0, -1, 2**53, "", "x", "é\u2028", "1"])
def test_every_id_comes_back_as_it_was(gateway: Gateway, request_id: object) -> None:
    """Numbers stay numbers, and text stays text."""
    with McpClient(gateway.port) as client:
        response, body = client.exchange("POST", _call(request_id), CALL)
    message = json.loads(body)
    assert response.status == 200
    assert (type(message["id"]), message["id"]) == (type(request_id), request_id)


@pytest.mark.parametrize(
    ("changes", "headers", "status", "code"),
    [
        ({"method": "no/such"}, modern_headers("no/such"), 404, -32601),
        ({"method": "initialize"}, modern_headers("initialize"), 404, -32601),
        ({}, {**CALL, "Mcp-Name": "b__echo"}, 400, -32020),
        ({}, {**CALL, "Mcp-Method": "tools/list"}, 400, -32020),
        ({}, {**CALL, "MCP-Protocol-Version": LEGACY}, 400, -32020),
        ({}, HEADERS, 400, -32020),
        ({"params": {"name": "a__echo"}}, CALL, 400, -32602),
        ({"params": {"name": "b__echo", "_meta": META}}, modern_headers("tools/call", "b__echo"),
         200, -32602),
    ],
)  # fmt: skip
def test_refusals_of_modern_requests_echo_the_id(
    gateway: Gateway, changes: dict[str, Any], headers: dict[str, str], status: int, code: int
) -> None:
    """The client can tell which of its requests was refused, and why."""
    with McpClient(gateway.port) as client:
        response, body = client.exchange("POST", _call("mine", **changes), headers)
    message = json.loads(body)
    assert (response.status, message["error"]["code"], message["id"]) == (status, code, "mine")


def test_an_unknown_revision_is_told_the_known_ones(gateway: Gateway) -> None:
    """A client of the future learns what to speak instead."""
    key = "io.modelcontextprotocol/protocolVersion"
    params = {"name": "a__echo", "_meta": {**META, key: "2031-01-01"}}
    with McpClient(gateway.port) as client:
        headers = {**CALL, "MCP-Protocol-Version": "2031-01-01"}
        response, body = client.exchange("POST", _call(params=params), headers)
    assert response.status == 400
    error = json.loads(body)["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": [MODERN], "requested": "2031-01-01"}


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"", -32700), (b"\xff", -32700), (b"[]", -32600), (b"[{}]", -32600),
     (b"{}", -32600), (b"null", -32600), (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
     (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}', -32600),
     (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600), (b"[" * 5000, -32700)],
)  # fmt: skip
def test_bodies_that_are_no_message_are_400(gateway: Gateway, body: bytes, code: int) -> None:
    """What cannot be read has no id to echo."""
    with McpClient(gateway.port) as client:
        response, said = client.exchange("POST", body, HEADERS)
        assert (response.status, json.loads(said)["error"]["code"]) == (400, code)
        assert client.call("a__echo", text="the connection lives") == "the connection lives"


def test_legacy_requests_need_their_session(gateway: Gateway) -> None:
    """Without an id it is 400, with a wrong one 404, so that the client initializes anew."""
    body = b'{"jsonrpc":"2.0","id":7,"method":"tools/list"}'
    with McpClient(gateway.port) as client:
        response, said = client.exchange("POST", body, HEADERS)
        assert (response.status, json.loads(said)["id"]) == (400, 7)
        client.session = "1.nonsense"
        status, message = client.request("tools/list")
        assert (status, message["error"]["code"]) == (404, -32600)
        client.initialize()
        assert client.request("tools/list")[0] == 200
        altered = client.session[:-2] + ("AA" if client.session[-2:] != "AA" else "BB")
        client.session = altered
        assert client.request("tools/list")[0] == 404


def test_notifications_are_accepted_without_a_body(gateway: Gateway) -> None:
    """202 says that nothing more will come."""
    with McpClient(gateway.port).initialize() as client:
        headers = {**HEADERS, "Mcp-Session-Id": str(client.session)}
        message = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
        response, body = client.exchange("POST", message, headers)
        assert (response.status, body) == (202, b"")


def test_an_answer_that_nobody_waits_for_is_refused(gateway: Gateway) -> None:
    """A client hears that nobody asked; only whoever asked could say that of one that is gone."""
    with McpClient(gateway.port).initialize() as client:
        headers = {**HEADERS, "Mcp-Session-Id": str(client.session)}
        for raw_id in (b"1", b'"o1-1.0-0123456789abcdef"', b'"o1--"'):
            message = b'{"jsonrpc":"2.0","id":%b,"result":{}}' % raw_id
            response, body = client.exchange("POST", message, headers)
            assert (response.status, json.loads(body)["error"]["code"]) == (400, -32600)
        message = b'{"jsonrpc":"2.0","id":"o1-9.9-0","result":{}}'
        response, body = client.exchange("POST", message, headers)
        assert (response.status, body) == (202, b"")


def test_delete_ends_a_session_once(gateway: Gateway) -> None:
    """What has been ended cannot be ended again, nor can what never was."""
    with McpClient(gateway.port).initialize() as client:
        assert [client.end_session(), client.end_session()] == [200, 404]
    assert _send(gateway, "DELETE")[0].status == 400


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS"])
def test_other_methods_on_the_endpoint_are_405(gateway: Gateway, verb: str) -> None:
    """Allow says which there are."""
    response, body = _send(gateway, verb, Accept="text/event-stream")
    assert response.status == 405
    assert response.getheader("Allow") == "POST, GET, DELETE"
    assert "is not allowed here" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/mcp/", "/mcp/x/y", "/MCP", "/api/v1/admin", "/.env"])
def test_other_paths_are_404(gateway: Gateway, path: str) -> None:
    """The hint names the endpoint."""
    with McpClient(gateway.port) as client:
        response, body = client.exchange("POST", _call(), CALL, path)
    assert response.status == 404
    assert "the MCP endpoint is /mcp" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity, br"}, 415),
        ({"Content-Encoding": "Identity"}, 200),
        ({"Accept": "application/json"}, 406),
        ({"Accept": "text/html"}, 406),
        ({"Accept": "*/*"}, 200),
        ({"Content-Type": "application/json; charset=UTF-8"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "gw.example:8443"}, 200),
        ({"Host": "localhost"}, 200),
    ],
)
def test_media_types_origins_and_hosts_are_checked(
    gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    """Only what a client of ours would send passes."""
    with McpClient(gateway.port) as client:
        response, _ = client.exchange("POST", _call(), {**CALL, **headers})
    assert response.status == status


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics"])
def test_probes_by_the_address_alone_are_answered(gateway: Gateway, path: str) -> None:
    """As those of Kubernetes, which call a pod by its IP."""
    assert _send(gateway, "GET", path, Host="10.1.2.3:8080")[0].status == 200
    assert _send(gateway, "GET", path, Origin="https://evil.example")[0].status == 403


def test_a_page_of_an_allowed_origin_may_call(gateway: Gateway) -> None:
    """Its browser asks first, then sends, and lets the page read the answer."""
    app = {"Origin": "https://app.example"}
    asking = {**app, "Access-Control-Request-Method": "POST",
              "Access-Control-Request-Headers": "mcp-method,mcp-name"}  # fmt: skip
    with McpClient(gateway.port) as client:
        response, body = client.exchange("OPTIONS", None, asking)
        assert (response.status, body) == (204, b"")
        assert "POST" in str(response.getheader("Access-Control-Allow-Methods"))
        assert "Mcp-Name" in str(response.getheader("Access-Control-Allow-Headers"))
        response, _ = client.exchange("POST", _call(), {**CALL, **app})
        assert response.status == 200
        assert response.getheader("Access-Control-Allow-Origin") == "https://app.example"


def test_a_body_up_to_the_limit_is_taken_and_one_byte_more_is_413(gateway: Gateway) -> None:
    """With a length, and in chunks; the client gets to read the answer."""
    text = "x" * (MAX_BODY - len(_call()) + 1)
    params = {"name": "a__echo", "arguments": {"text": text}, "_meta": META}
    largest = _call(params=params)
    assert len(largest) == MAX_BODY
    with McpClient(gateway.port) as client:
        assert client.exchange("POST", largest, CALL)[0].status == 200
    with McpClient(gateway.port) as client:
        response, body = client.exchange("POST", largest + b" ", CALL)
        assert (response.status, json.loads(body)["id"]) == (413, None)
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _raw(gateway, head + b"%x\r\n" % (MAX_BODY + 1) + b"x" * 100)[0] == 413
    assert _raw(gateway, head.replace(b"Transfer-Encoding: chunked", b"Content-Length: 99999999")
                + b"x" * 1_000_000)[0] == 413  # fmt: skip


def test_headers_beyond_the_limit_are_431(gateway: Gateway) -> None:
    """One large header, or many small ones, or a head that never ends."""
    start = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    assert _raw(gateway, start + b"X: " + b"x" * MAX_HEADER + b"\r\n\r\n")[0] == 431
    assert _raw(gateway, start + b"X: y\r\n" * 1000 + b"\r\n")[0] == 431
    assert _raw(gateway, b"GET /" + b"x" * 2 * MAX_HEADER)[0] == 431


@pytest.mark.parametrize(
    "begun",
    [b"P", b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n",
     b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
     b"Content-Length: 10\r\n\r\n{"],
    ids=["one byte", "half a head", "half a body"],
)  # fmt: skip
def test_a_request_that_does_not_come_in_is_408(gateway: Gateway, begun: bytes) -> None:
    """A client that holds a connection with half a request is let go."""
    assert _raw(gateway, begun)[0] == 408


@pytest.mark.parametrize(
    "head",
    [
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: other",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: a\r\nMcp-Session-Id: a",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX : y",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b",
        b"POST /mcp HTTP/1.1\nHost: localhost",
        b"POST /mcp HTTP/1.1\r\nX: no host",
        b"POST /mcp HTTP/2.0\r\nHost: localhost",
        b"POST http://localhost/mcp HTTP/1.1\r\nHost: localhost",
        b"FOO /mcp HTTP/1.1\r\nHost: localhost",
        b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Key1: x",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    ],
)
def test_heads_that_could_be_read_in_two_ways_are_400(gateway: Gateway, head: bytes) -> None:
    """The connection ends with the refusal: what follows may be anything."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 400
        assert response.getheader("Connection") == "close"
        assert json.loads(response.read())["error"]["code"] == -32600
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@pytest.mark.parametrize(("method", "name"), [("tools/call", "a__echo"), ("tools/list", None)])
def test_a_log_level_that_is_none_is_refused(
    gateway: Gateway, method: str, name: str | None
) -> None:
    """Of calls and of lists; the hint names those there are."""
    params: dict[str, Any] = {} if name is None else {"name": name, "arguments": {"text": "x"}}
    for level, status in (("bogus", 400), ("warning", 200)):
        params["_meta"] = {**META, "io.modelcontextprotocol/logLevel": level}
        with McpClient(gateway.port) as client:
            message = _call(method=method, params=params)
            response, body = client.exchange("POST", message, modern_headers(method, name))
        assert response.status == status
        if status == 400:
            error = json.loads(body)["error"]
            assert (error["code"], "hint: one of debug, info" in error["message"]) == (-32602, True)


def test_two_requests_of_one_id_get_their_own_answers(gateway: Gateway) -> None:
    """A client may send one again whose connection broke: each is answered where it came."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(McpClient(gateway.port).initialize())
        others = [
            stack.enter_context(McpClient(gateway.port, first.session)) for _ in range(20)
        ]  # fmt: skip
        for number, client in enumerate(others):
            params = {"name": "a__echo", "arguments": {"text": str(number)}}
            body = {"jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": params}
            headers = {**HEADERS, "Mcp-Session-Id": str(first.session),
                       "MCP-Protocol-Version": LEGACY}  # fmt: skip
            client.http.request("POST", "/mcp", json.dumps(body), headers)
        for number, client in enumerate(others):
            status, message = client.receive()
            assert (status, message["id"]) == (200, "same")
            assert message["result"]["content"][0]["text"] == str(number)


def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    """A client may send the next request before it has read the last answer."""
    head = "".join(f"{name}: {value}\r\n" for name, value in CALL.items())
    requests = b"".join(
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        .encode() + body
        for body in (_call(number) for number in range(20))
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(requests)
        with connection.makefile("rb") as answers:
            for number in range(20):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                length = int(http.client.parse_headers(answers)["Content-Length"])
                assert json.loads(answers.read(length))["id"] == number


UNREADABLE = (
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"
)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /api/v1/admin/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PUT /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        UNREADABLE,
    ],
)
def test_no_answer_names_the_software_that_serves_it(gateway: Gateway, request_: bytes) -> None:
    """Neither of the two ways in tells an attacker which versions to look up."""
    _, headers = _head(gateway, request_)
    assert headers["Server"] is None
    assert "aiohttp" not in str(headers)


def test_what_the_parser_cannot_read_leaves_a_line_and_no_traceback(gateway: Gateway) -> None:
    """Anybody can send it; a trailer about framing passes the guard, and the parser refuses it."""
    line, headers = _head(gateway, UNREADABLE)
    assert line == b"HTTP/1.1 400 Bad Request\r\n"
    assert headers["Connection"] == "close"
    said = wait_until(
        lambda: [line for line in gateway.log.splitlines() if "http_parser" in line], "a line"
    )
    record = json.loads(said[0])
    assert record["level"] == "info"
    assert (record["msg"][:9], record["status"]) == ("refused: ", 400)
    assert "exception" not in record
