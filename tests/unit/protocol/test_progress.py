"""Tokens and subscription ids are exchanged, and nothing else is touched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.progress import (
    subscription_tagged,
    token_of,
    with_progress_token,
    with_token,
)

TOKENS = st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.none() | st.integers() | st.text(max_size=3) | st.dictionaries(st.text("ab"), TOKENS)
PARAMS = st.dictionaries(st.sampled_from(["a", "é", "name", "progressToken"]), VALUES)
TAG = "io.modelcontextprotocol/subscriptionId"


def write(value: Any) -> bytes:
    """Write JSON with spaces."""
    return json.dumps(value).encode()


def test_the_token_of_a_request_is_exchanged_in_place() -> None:
    """White space, numbers and neighbours stay; so does a token among the arguments."""
    params = (
        b'{ "arguments" : {"progressToken" : 1.0, "_meta":{"progressToken":2}} ,'
        b'"_meta" : {"x/y": 1e400 , "progressToken" : "t\\u0061" , "z":[ ]} }'
    )
    assert with_token(params, b'"ours-1"') == params.replace(b'"t\\u0061"', b'"ours-1"')


@pytest.mark.parametrize(
    "params",
    [b"", b"{}", b'{"progressToken":1}', b'{"_meta":{}}', b'{"_meta":3}', b'{"_meta":null}',
     b'{"_meta":{"x":{"progressToken":1}}}', b'{"arguments":{"_meta":{"progressToken":1}}}'],
)  # fmt: skip
def test_a_request_without_a_token_is_given_none(params: bytes) -> None:
    """Who did not ask for progress gets none."""
    assert with_token(params, b"7") is params


@pytest.mark.parametrize("token", [b"7", b'"7"', b'"\\u0037"', b"-1", b"1.0", b"1e400"])
def test_the_token_of_a_notification_keeps_its_type_and_spelling(token: bytes) -> None:
    """The client compares it with what it sent: 7 is not "7"."""
    params = b'{"progress": 0.50, "progressToken" : %b , "message":"m"}' % token
    assert token_of(params) == token
    assert with_progress_token(params, b'"x"') == params.replace(b": %b ," % token, b': "x" ,')


@pytest.mark.parametrize("params", [b"", b"{}", b"[1]", b'{"_meta":{"progressToken":1}}'])
def test_a_notification_without_a_token_belongs_to_nobody(params: bytes) -> None:
    """The caller drops it."""
    assert token_of(params) is None
    assert with_progress_token(params, b"7") is params


@given(PARAMS, TOKENS, TOKENS)
def test_exchanging_a_token_there_and_back_changes_nothing(
    params: dict[str, Any], theirs: int | str, ours: int | str
) -> None:
    """Byte for byte, on the way out and on the way home."""
    request = write({**params, "_meta": {"progressToken": theirs, "x": 1.0}})
    there = with_token(request, write(ours))
    assert json.loads(there)["_meta"] == {"progressToken": ours, "x": 1.0}
    assert with_token(there, write(theirs)) == request
    notification = write({**params, "progressToken": theirs})
    back = with_progress_token(notification, write(ours))
    assert token_of(back) == write(ours)
    assert with_progress_token(back, write(theirs)) == notification


@pytest.mark.parametrize(
    ("params", "tagged"),
    [
        (b"", b'{"_meta":{"%b":7}}'),
        (b"{}", b'{"_meta":{"%b":7}}'),
        (b'{ "uri" : "u" }', b'{ "uri" : "u","_meta":{"%b":7}}'),
        (b'{"_meta":{ "x": 1.0 } , "uri":"u"}', b'{"_meta":{ "x": 1.0,"%b":7} , "uri":"u"}'),
        (b'{"_meta":{"%b" : "theirs"}}', b'{"_meta":{"%b" : 7}}'),
        (b'{"_meta":null,"a":1e400}', b'{"_meta":{"%b":7},"a":1e400}'),
    ],
)
def test_a_notification_bears_the_id_of_the_subscription_it_answers(
    params: bytes, tagged: bytes
) -> None:
    """The client's id in place of the one that we gave to the server."""
    name = TAG.encode()
    written = params.replace(b"%b", name)
    assert subscription_tagged(written, b"7") == tagged.replace(b"%b", name)


@given(PARAMS, TOKENS)
def test_a_tag_keeps_the_type_of_the_request_id(params: dict[str, Any], tag: int | str) -> None:
    """And everything else that the notification says."""
    tagged = json.loads(subscription_tagged(write(params), write(tag)))
    assert tagged == {**params, "_meta": {TAG: tag}}
