"""What is sent, and which answers are right."""

import json
from typing import Any

import pytest

from only1mcp.benchmark.message import FIRST, Messages
from only1mcp.benchmark.plan import LEGACY, Plan, Target
from only1mcp.benchmark.response import Response, ResponseReader
from tests.support.raw_server import CHUNKED, EVENTS, chunk, event, result, whole

TARGET = Target(("127.0.0.1",), 8080, "127.0.0.1:8080", "/mcp")
URL = "http://127.0.0.1:8080/mcp"
NUMBER = FIRST + 7
BOTH = '{"text":"say {nonce}","n":"{number}"}'


def sent(data: bytes) -> tuple[dict[str, str], Any]:
    """Cut a request into headers and message; its length must be right."""
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(headers["Content-Length"]) == len(body)
    return headers, json.loads(body)


def test_a_modern_call_says_what_it_is_in_its_headers() -> None:
    """And carries its id and its nonce wherever they are wanted."""
    headers, message = sent(Messages(Plan(URL, "a__é", BOTH), TARGET).write(NUMBER))
    assert headers["Mcp-Method"] == "tools/call"
    assert headers["Mcp-Name"].startswith("=?base64?")
    assert message["id"] == message["params"]["arguments"]["n"] == NUMBER
    assert message["params"]["name"] == "a__é"
    assert message["params"]["arguments"]["text"].endswith(f"-{NUMBER}")


def test_a_legacy_call_names_its_session() -> None:
    """And nothing that is modern."""
    headers, message = sent(Messages(Plan(URL, era=LEGACY), TARGET, b"abc").write(NUMBER))
    assert (headers["Mcp-Session-Id"], "Mcp-Method" in headers) == ("abc", False)
    assert message == {"jsonrpc": "2.0", "id": NUMBER, "method": "tools/list", "params": {}}


def test_a_nul_in_the_arguments_is_sent_as_it_is() -> None:
    """It must not be taken for the place of a number."""
    _, message = sent(Messages(Plan(URL, "t", '{"a":"\\u0000"}'), TARGET).write(NUMBER))
    assert message["params"]["arguments"] == {"a": "\0"}


def judged(arguments: str, data: bytes) -> str:
    """Return how an answer to the call is judged; `NONCE` in it stands for the call's own."""
    messages = Messages(Plan(URL, "t", arguments), TARGET)
    _, message = sent(messages.write(NUMBER))
    nonce = str(message["params"]["arguments"].get("text", "")).removeprefix("say ")
    body = data.replace(b"NONCE", nonce.encode())
    return messages.judge(NUMBER, Response(200, b"", body))[0]


def call_result(**changes: Any) -> bytes:
    """Write a result with the nonce in it."""
    return result(NUMBER, "so: NONCE.", **changes)


@pytest.mark.parametrize(
    ("arguments", "data", "outcome"),
    [
        (BOTH, call_result(), "ok"),
        ("{}", result(NUMBER), "ok"),
        ('{"n":"{number}"}', result(NUMBER, f"={NUMBER}"), "ok"),
        ('{"n":"{number}"}', result(NUMBER, f"={NUMBER + 1}"), "answer without the nonce"),
        (BOTH, result(NUMBER, str(NUMBER)), "answer without the nonce"),
        (BOTH, result(NUMBER, content=[]), "answer without the nonce"),
        (BOTH, result(NUMBER, content=None), "answer without the nonce"),
        (BOTH, call_result(isError=True), "tool error"),
        (BOTH, result(NUMBER + 1, "NONCE"), "answer with another id"),
        (BOTH, result(str(NUMBER), "NONCE"), "answer with another id"),
        (BOTH, b"", "no JSON-RPC answer"),
        (BOTH, b"[]", "no JSON-RPC answer"),
        (BOTH, b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32001}}' % NUMBER, "error -32001"),
        (BOTH, b'{"jsonrpc":"2.0","id":%d,"error":1}' % NUMBER, "error 1"),
    ],
)  # fmt: skip
def test_only_the_right_answer_is_right(arguments: str, data: bytes, outcome: str) -> None:
    """Each other one has a kind of its own."""
    assert judged(arguments, data) == outcome


def test_another_status_is_a_failure_whatever_the_body() -> None:
    """What it says is kept for a person."""
    messages = Messages(Plan(URL, "t"), TARGET)
    kind, detail = messages.judge(NUMBER, Response(503, b"", b"busy"))
    assert (kind, "busy" in detail) == ("HTTP 503", True)


def test_the_answer_is_found_among_the_events_of_a_stream() -> None:
    """Whatever was said before it."""
    told = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'
    data = EVENTS + CHUNKED + chunk(event(told)) + chunk(event(result(NUMBER))) + chunk(b"")
    response = ResponseReader().feed(data)
    assert response is not None
    assert Messages(Plan(URL, "t"), TARGET).judge(NUMBER, response) == ("ok", "")


def test_a_list_must_be_one() -> None:
    """When no tool is named."""
    messages = Messages(Plan(URL), TARGET)
    listed = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":%b}}'
    for tools, kind in ((b"[]", "ok"), (b"1", "no list of tools")):
        response = ResponseReader().feed(whole(listed % (NUMBER, tools)))
        assert response is not None
        assert messages.judge(NUMBER, response)[0] == kind
