"""Messages written around parts that are JSON already."""

import json

import pytest

from only1mcp.errors import InvalidParams, UnknownTarget
from only1mcp.protocol import jsonrpc

IDS = [b"1", b"-0", b"12345678901234567890123", b'"a"', b'"\\u0061\\""', '"é"'.encode()]


@pytest.mark.parametrize("raw", IDS)
def test_an_id_is_echoed_in_the_bytes_it_came_in(raw: bytes) -> None:
    """Type, escapes and size stay, in results, errors and requests."""
    assert jsonrpc.result(raw, b"{}") == b'{"jsonrpc":"2.0","id":' + raw + b',"result":{}}'
    assert jsonrpc.error(raw, b'{"code":1}').startswith(b'{"jsonrpc":"2.0","id":' + raw + b",")
    assert jsonrpc.request(raw, "a/b", b"").startswith(b'{"jsonrpc":"2.0","id":' + raw + b",")


def test_parameters_are_left_out_when_there_are_none() -> None:
    """Both with and without, it is one JSON object."""
    assert jsonrpc.request(b"1", "a/b", b"") == b'{"jsonrpc":"2.0","id":1,"method":"a/b"}'
    assert json.loads(jsonrpc.request(b"1", "a/b", b'{"x": 1}'))["params"] == {"x": 1}
    assert jsonrpc.notification("n") == b'{"jsonrpc":"2.0","method":"n"}'
    assert json.loads(jsonrpc.notification("n", b'{"x":[]}'))["params"] == {"x": []}


def test_an_unreadable_request_is_answered_with_the_null_id() -> None:
    """There is no id to echo."""
    assert json.loads(jsonrpc.error(None, b"{}"))["id"] is None


def test_a_failure_carries_code_message_hint_and_data() -> None:
    """The hint ends the message, for clients show nothing else."""
    failure = UnknownTarget("unknown tool: x", hint="list again", data={"uri": "é"})
    message = json.loads(jsonrpc.error_from(b'"q"', failure))
    assert message == {
        "jsonrpc": "2.0",
        "id": "q",
        "error": {
            "code": -32602, "message": "unknown tool: x. hint: list again", "data": {"uri": "é"},
        },
    }  # fmt: skip


def test_a_failure_says_no_more_than_it_has() -> None:
    """Without hint and data there is neither, and `detail` stays with the operator."""
    message = json.loads(jsonrpc.error_from(b"1", InvalidParams("bad", detail="secret")))
    assert message["error"] == {"code": -32602, "message": "bad"}
