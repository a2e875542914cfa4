"""Both twins of the JSON scanner, held to the same answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp import _speedups
from only1mcp._speedups import json_scan_py
from only1mcp.errors import InvalidRequest, Only1MCPError, ParseError

TWINS = [pytest.param(json_scan_py, id="pure")]
if _speedups.COMPILED:
    from only1mcp._speedups import json_scan_c  # type: ignore[attr-defined,unused-ignore]

    TWINS.append(pytest.param(json_scan_c, id="compiled"))

FIELDS = json_scan_py.Envelope.__slots__
CALL = (
    b'{"jsonrpc": "2.0", "id": "a\\u0031\\"", "method": "tools/call", "params": {"name": "x__y",'
    b' "arguments": {"n": 1.0e2, "name": 3}, "uri": "u", "_meta": {"progressToken": 7,'
    b' "io.modelcontextprotocol/protocolVersion": "2026-07-28",'
    b' "io.modelcontextprotocol/clientCapabilities": {"a": {}}}}}'
)


def outcome(twin: Any, body: bytes) -> Any:
    """Return every field of the scan, or the type of the error."""
    try:
        envelope = twin.scan(body)
    except Only1MCPError as error:
        return type(error)
    return {field: getattr(envelope, field) for field in FIELDS}


@pytest.mark.parametrize("twin", TWINS)
def test_a_call_is_taken_apart_without_changing_a_byte(twin: Any) -> None:
    """Every span cuts out exactly what the client wrote."""
    e = twin.scan(CALL)
    assert (e.kind, e.id, e.method) == (json_scan_py.REQUEST, b'"a\\u0031\\""', "tools/call")
    assert (e.name, CALL[e.name_start : e.name_end]) == ("x__y", b'"x__y"')
    assert e.uri == "u"
    assert CALL[e.params_start : e.params_end].startswith(b'{"name": "x__y"')
    assert CALL[e.params_end :] == b"}"
    assert e.version == "2026-07-28"
    assert CALL[e.capabilities_start : e.capabilities_end] == b'{"a": {}}'
    assert CALL[e.token_start : e.token_end] == b"7"
    assert json.loads(CALL[e.meta_start : e.meta_end])["progressToken"] == 7


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("raw", [b"0", b"-7", b"12345678901234567890123", b'""', b'"\xc3\xa9"'])
def test_ids_of_every_legal_type_keep_their_bytes(twin: Any, raw: bytes) -> None:
    """An id is a string or an integer of any size, and stays as it was written."""
    assert twin.scan(b'{"id":' + raw + b',"jsonrpc":"2.0","method":"ping"}').id == raw


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("raw", [b"null", b"1.5", b"1e3", b"true", b"[1]", b"{}"])
def test_other_ids_are_refused(twin: Any, raw: bytes) -> None:
    """Null, fractions and structures are not ids."""
    with pytest.raises(InvalidRequest):
        twin.scan(b'{"id":' + raw + b',"jsonrpc":"2.0","method":"ping"}')


@pytest.mark.parametrize("twin", TWINS)
def test_responses_show_their_result_and_its_type(twin: Any) -> None:
    """A response has a result with its resultType, or an error."""
    e = twin.scan(b'{"jsonrpc":"2.0","id":1,"result":{"x":[{}],"resultType":"complete"}}')
    assert (e.kind, e.result_type) == (json_scan_py.RESPONSE, "complete")
    e = twin.scan(b'{"jsonrpc":"2.0","id":null,"error":{"code":1}}')
    assert e.body[e.error_start : e.error_end] == b'{"code":1}'
    assert e.id is None


BAD_JSON = [
    b"", b" ", b"{", b"[1,]", b"{,}", b'{"a":1,}', b'{"a" 1}', b"{'a':1}", b"nul", b"NaN",
    b"Infinity",
    b"01", b"1.", b".5", b"+1", b"1e", b'"\x01"', b'"\\x"', b'"\\u12"', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'{"a":"\\ud800","a":1}', b'{"\\ud800":1}',
    b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"{} {}", b"\x00", b'{"a":1', b'["a"', b'"a',
    b"[" * 129 + b"]" * 129, b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("body", BAD_JSON, ids=lambda body: repr(body[:20]))
def test_what_is_not_json_is_a_parse_error(twin: Any, body: bytes) -> None:
    """Bad grammar, bad UTF-8, half characters and deep nesting end in -32700."""
    with pytest.raises(ParseError):
        twin.scan(body)


@pytest.mark.parametrize("twin", TWINS)
def test_whole_characters_are_read_at_any_depth(twin: Any) -> None:
    """A pair of escapes is one character, also in the innermost object that is allowed."""
    head = b'{"jsonrpc":"2.0","id":1,"result":'
    body = head + b'{"a":' * 127 + b'"\\ud83d\\ude00"' + b"}" * 128
    assert twin.scan(body).result_end == len(body) - 1


BAD_MESSAGES = [
    b"1", b'"x"', b"null", b"{}", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"1.0","id":1,"method":"a"}',
    b'{"jsonrpc":"2.0","id":1,"method":1}', b'{"jsonrpc":"2.0","id":1,"method":"a","params":[]}',
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}',
    b'{"jsonrpc":"2.0","id":1,"method":"a","\\u0069d":3}',
    b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","name":"y"}}',
    b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"a":1,"a":2}}}',
    b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', b'{"jsonrpc":"2.0","result":1}',
]  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("body", BAD_MESSAGES)
def test_what_is_not_one_message_is_an_invalid_request(twin: Any, body: bytes) -> None:
    """JSON that is no JSON-RPC message, or repeats a key that matters, ends in -32600."""
    with pytest.raises(InvalidRequest):
        twin.scan(body)


@pytest.mark.parametrize("twin", TWINS)
def test_members_and_elements_give_the_bytes_of_each_part(twin: Any) -> None:
    """Lists are cut into their items as they were written, wide characters included."""
    data = '{"é": [1.0, {"ü": "ö"} ,"x"], "b":{}}'.encode()
    parts = {key: data[start:end] for key, start, end in twin.members(data)}
    assert parts == {"é": '[1.0, {"ü": "ö"} ,"x"]'.encode(), "b": b"{}"}
    start = twin.members(data)[0][1]
    assert [data[a:b] for a, b in twin.elements(data, start)] == [
        b"1.0", '{"ü": "ö"}'.encode(), b'"x"',
    ]  # fmt: skip
    assert twin.members(b"{ }") == []
    assert twin.elements(b"[ ]") == []
    assert twin.elements('[1, "é" ,3]'.encode(), 0, 2) == [(1, 2), (4, 8)]
    assert len(twin.elements(b"[1,2]", 0, 2)) == len(twin.elements(b"[1,2]", 0, 3)) == 2
    with pytest.raises(ParseError):
        twin.members(b"[]")
    with pytest.raises(ParseError):
        twin.elements(b"[1,]")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON_VALUES, "uri": st.text(max_size=5), "arguments": JSON_VALUES,
        "_meta": JSON_VALUES | st.dictionaries(
            st.sampled_from(["progressToken", "io.modelcontextprotocol/protocolVersion",
                             "io.modelcontextprotocol/clientCapabilities", "x"]), JSON_VALUES),
    },
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={"id": JSON_VALUES, "method": JSON_VALUES, "params": PARAMS | JSON_VALUES,
              "result": JSON_VALUES, "error": JSON_VALUES},
)  # fmt: skip


@pytest.mark.skipif(not _speedups.COMPILED, reason="one twin only")
@settings(max_examples=600, deadline=None)
@given(MESSAGES, st.booleans(), st.integers(0, 3))
def test_the_twins_agree_on_messages(message: Any, escape: bool, indent: int) -> None:
    """Whatever the message, its escapes and its white space, both twins say the same."""
    try:
        body = json.dumps(message, ensure_ascii=escape, indent=indent or None).encode()
    except UnicodeEncodeError:
        return
    assert outcome(json_scan_c, body) == outcome(json_scan_py, body)


@pytest.mark.skipif(not _speedups.COMPILED, reason="one twin only")
@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_the_twins_agree_on_damaged_messages(data: st.DataObject) -> None:
    """Cut, doubled and overwritten bytes are judged alike."""
    body = bytearray(data.draw(st.sampled_from([CALL, *BAD_MESSAGES])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"{", b"]", b",", b"\xc3", b"1e5", b"\\ud83d", b"\x1f"]
            )
        )
    assert outcome(json_scan_c, bytes(body)) == outcome(json_scan_py, bytes(body))
