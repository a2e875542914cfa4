"""Parameters, results and errors in all four directions between the eras."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp._speedups import Envelope, members, scan
from only1mcp.protocol.translate import (
    CACHEABLE_METHODS,
    CONNECTION_KEYS,
    error_code,
    error_for,
    items_of,
    owned_meta,
    params_across,
    result_for_legacy,
    result_for_modern,
    splice,
    spliced_params,
    without,
    write_object,
)
from only1mcp.protocol.versions import Era
from tests.support.messages import MODERN, OWN

ODD = (
    b'{"n": 1.0, "big":123456789012345678901234567890,"huge":1e400, "minus":-0,"e":1E+2 ,'
    b'"text":"\\u0061\\/\\ud83d\\ude00", "\xc3\xa9":"\xf0\x9f\x98\x80",'
    b'"unknown":{"$ref":[ 1 , {} ]}}'
)
"""Values that a parser and writer on the way would change."""


def result(raw: bytes) -> Envelope:
    """Return a response with this result."""
    return scan(b' {"jsonrpc":"2.0","id":7 , "result": ' + raw + b" }")


def error(raw: bytes) -> Envelope:
    """Return a response with this error."""
    return scan(b'{"jsonrpc":"2.0","id":7,"error":' + raw + b"}")


def request(params: bytes) -> Envelope:
    """Return a call with these parameters."""
    return scan(b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":' + params + b"}")


def raw_members(data: bytes) -> dict[str, bytes]:
    """Return each member's own bytes."""
    return {key: data[start:end] for key, start, end in members(data)}


def test_within_an_era_only_the_name_is_replaced() -> None:
    """Modern to modern and legacy to legacy: white space, numbers and order stay."""
    params = b'{ "arguments" : ' + ODD + b' , "name" : "a__x" ,"_meta":{"progressToken" : 1.50}}'
    call = request(params)
    spliced = spliced_params(call, call.name_start, call.name_end, b'"x"')
    assert spliced == params.replace(b'"a__x"', b'"x"')
    assert spliced_params(call, 0, 0, None) == params


def test_a_message_without_params_stays_without() -> None:
    """There is nothing to splice."""
    assert spliced_params(scan(b'{"jsonrpc":"2.0","id":1,"method":"ping"}'), 0, 0, None) == b""


def test_a_modern_call_to_a_legacy_server_loses_what_belongs_to_the_connection() -> None:
    """Trace context, progress token and vendor keys go on; arguments keep their bytes."""
    meta = (
        b'{"%bprotocolVersion":"2026-07-28","%bclientInfo":{},"%bclientCapabilities":{},'
        b'"%blogLevel":"info","progressToken":1.0,"traceparent":"00-1","com.example/x": [1e400]}'
    ) % ((OWN.encode(),) * 4)
    across = params_across(b'{"name":"x","arguments": ' + ODD + b',"_meta":' + meta + b"}",
                           Era.LEGACY)  # fmt: skip
    found = raw_members(across)
    assert list(found) == ["name", "arguments", "_meta"]
    assert found["arguments"] == ODD
    assert found["_meta"] == b'{"progressToken":1.0,"traceparent":"00-1","com.example/x":[1e400]}'


def test_a_meta_with_nothing_left_is_left_out() -> None:
    """Legacy servers need not see an empty one."""
    meta = json.dumps(dict.fromkeys(CONNECTION_KEYS)).encode()
    assert params_across(b'{"name":"x","_meta":' + meta + b"}", Era.LEGACY) == b'{"name":"x"}'
    assert params_across(b"", Era.LEGACY) == b"{}"


def test_a_legacy_call_to_a_modern_server_speaks_for_the_client() -> None:
    """The session's own capabilities and name travel with each request, as their own bytes."""
    owned = owned_meta(b'{"elicitation": {"x":1.0}}', b'{"name" : "c"}')
    found = raw_members(
        params_across(
            b'{"_meta":{"progressToken":"t"},"name":"x","a":' + ODD + b"}", Era.MODERN, owned
        )
    )
    assert found["a"] == ODD
    assert raw_members(found["_meta"]) == {
        OWN + "protocolVersion": f'"{MODERN}"'.encode(),
        OWN + "clientInfo": b'{"name" : "c"}',
        OWN + "clientCapabilities": b'{"elicitation": {"x":1.0}}',
        "progressToken": b'"t"',
    }


def test_a_client_cannot_slip_connection_keys_past_the_session() -> None:
    """What a legacy client writes in their place does not reach a modern server."""
    own = OWN.encode()
    forged = b'{"_meta":{"%bclientCapabilities":{"sampling":{}},"%blogLevel":"debug"}}' % (own, own)
    found = raw_members(params_across(forged, Era.MODERN, owned_meta(b"{}", b"")))
    assert set(raw_members(found["_meta"])) == {OWN + "protocolVersion", OWN + "clientCapabilities"}
    assert raw_members(found["_meta"])[OWN + "clientCapabilities"] == b"{}"


def test_a_meta_that_is_no_object_is_passed_on_unread() -> None:
    """Legacy servers judge their own parameters; modern ones get a valid one of ours too."""
    assert params_across(b'{"_meta":3}', Era.LEGACY) == b'{"_meta":3}'


MODERN_RESULTS = [
    # method, result of the backend, result for the client
    ("tools/call", b'{"content":[]}', b'{"resultType":"complete","content":[]}'),
    ("tools/call", b"{ }", b'{"resultType":"complete"}'),
    ("tools/call", b'{ "a" : 1.0}', b'{"resultType":"complete","a" : 1.0}'),
    ("tools/call", b'{"resultType":"complete" , "a":1}', b'{"resultType":"complete" , "a":1}'),
    ("tools/call", b'{"resultType":"input_required","requestState":"s"}',
     b'{"resultType":"input_required","requestState":"s"}'),
    ("tools/call", b'{"ttlMs":5,"a":1}', b'{"resultType":"complete","ttlMs":5,"a":1}'),
    ("resources/read", b'{"contents":[]}',
     b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}'),
    ("resources/read", b'{"resultType":"complete","contents":[]}',
     b'{"ttlMs":0,"cacheScope":"private","resultType":"complete","contents":[]}'),
    ("resources/read", b'{"ttlMs":9,"cacheScope":"public","contents":[]}',
     b'{"resultType":"complete","ttlMs":9,"cacheScope":"public","contents":[]}'),
    ("resources/read", b'{"ttlMs":9,"contents":[]}',
     b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}'),
    ("resources/read", b'{"resultType":"input_required","requestState":"s"}',
     b'{"resultType":"input_required","requestState":"s"}'),
    ("resources/read", b"{}", b'{"resultType":"complete","ttlMs":0,"cacheScope":"private"}'),
    ("tools/call", b'{"resultType":5,"a":1}', b'{"resultType":"complete","a":1}'),
    ("resources/read", b'{"resultType":null,"a":1}',
     b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","a":1}'),
    ("tools/call", b"[]", b'{"resultType":"complete"}'),
    ("tools/call", b'"text"', b'{"resultType":"complete"}'),
]  # fmt: skip


@pytest.mark.parametrize(("method", "raw", "expected"), MODERN_RESULTS)
def test_a_modern_client_gets_what_its_revision_requires(
    method: str, raw: bytes, expected: bytes
) -> None:
    """`resultType` always, caching hints where the method has them; never a key twice."""
    assert result_for_modern(result(raw), method) == expected


@given(st.sampled_from([*sorted(CACHEABLE_METHODS), "tools/call", "prompts/get"]))
def test_odd_values_reach_a_modern_client_as_they_were(method: str) -> None:
    """Numbers, escapes and unknown keys keep their bytes."""
    found = raw_members(result_for_modern(result(b'{"x":' + ODD + b"}"), method))
    assert found["x"] == ODD
    assert found["resultType"] == b'"complete"'


LEGACY_RESULTS = [
    (b'{"resultType":"complete","a":1.0,"ttlMs":5,"cacheScope":"public"}', b'{"a":1.0}'),
    (b'{"a": [ 1 ]}', b'{"a":[ 1 ]}'),
    (b'{"_meta":{"%bserverInfo":{"name":"x"}},"a":1}' % OWN.encode(), b'{"a":1}'),
    (b'{"_meta":{"%bserverInfo":{},"com.x/y": 1e9}}' % OWN.encode(), b'{"_meta":{"com.x/y":1e9}}'),
    (b'{"_meta":3}', b'{"_meta":3}'),
    (b"{}", b"{}"),
    (b"null", b"null"),
    (b'{"x":' + ODD + b"}", b'{"x":' + ODD + b"}"),
]


@pytest.mark.parametrize(("raw", "expected"), LEGACY_RESULTS)
def test_a_legacy_client_is_spared_what_it_does_not_know(raw: bytes, expected: bytes) -> None:
    """Only the members of 2026-07-28 go."""
    assert result_for_legacy(result(raw)) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abé_", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
RESULTS = st.dictionaries(
    st.sampled_from(["a", "content", "_meta", "isError", "é"]), JSON, max_size=4
)


@given(RESULTS, st.sampled_from([None, 1]), st.booleans())
def test_crossing_to_modern_and_back_changes_nothing(
    value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    """What one direction adds the other takes away."""
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    there = result_for_modern(result(raw), "tools/call")
    assert json.loads(there) == {**value, "resultType": "complete"}
    back = json.loads(result_for_legacy(result(there)))
    expected = {key: part for key, part in value.items() if (key, part) != ("_meta", {})}
    assert back == expected


def test_resource_not_found_has_another_code_in_each_era() -> None:
    """Legacy servers say -32002; modern clients are told -32602; the rest stays."""
    raw = b'{"message":"no" , "code":-32002,"data":{"uri": "x","n":1.0}}'
    assert error_for(error(raw), Era.LEGACY) == (-32002, raw)
    code, changed = error_for(error(raw), Era.MODERN)
    assert code == -32602
    assert changed == b'{"message":"no","code":-32602,"data":{"uri": "x","n":1.0}}'


@pytest.mark.parametrize("era", list(Era))
def test_any_other_error_passes_through_untouched(era: Era) -> None:
    """A backend's error is its own."""
    raw = b'{ "code" : -31000, "message":"x","data":' + ODD + b"}"
    assert error_for(error(raw), era) == (-31000, raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"code":5}', 5), (b'{"code":"5"}', -32603), (b"{}", -32603), (b'"x"', -32603),
        (b"[1]", -32603), (b"null", -32603), (b'{"code":1.5}', -32603),
        (b'{"code":1e400}', -32603), (b'{"code":' + b"9" * 5000 + b"}", -32603),
        (b'{"data":1e400,"code":-32601}', -32601),
    ],
)  # fmt: skip
def test_an_error_without_a_number_counts_as_internal(raw: bytes, code: int) -> None:
    """For statistics and status; the object itself is not touched."""
    assert error_code(raw) == code


def test_list_results_give_their_items_as_bytes() -> None:
    """And the cursor, when there is a usable one."""
    raw = b'{"tools":[ {"name":"a","x":1.0} , {"name":"\xc3\xa9"}],"nextCursor":"c\\u0061"}'
    assert items_of(result(raw), "tools") == (
        [b'{"name":"a","x":1.0}', b'{"name":"\xc3\xa9"}'], "ca",
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b"null", b'{"tools":{}}', b'{"tools":null,"nextCursor":null}',
            b'{"tools":[],"nextCursor":""}', b'{"tools":[],"nextCursor":7}']
)  # fmt: skip
def test_a_malformed_list_is_an_empty_one(raw: bytes) -> None:
    """Nothing is guessed."""
    assert items_of(result(raw), "tools") == ([], None)


def test_spans_are_cut_out_and_members_dropped() -> None:
    """The two tools that all of the above is made of."""
    assert splice(b"abcdef", 2, 4, b"--") == b"ab--ef"
    assert without(b'x{"a":1,"b": 2.0}', 1, frozenset({"a"})) == b'{"b":2.0}'
    assert write_object([("a\n", b"1")]) == b'{"a\\n":1}'
