"""Arguments in headers: which, with what value, and what does not agree."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import HeaderMismatch
from only1mcp.protocol.param_headers import (
    InvalidAnnotation,
    ParamHeader,
    check_param_headers,
    emit_param_headers,
    read_param_headers,
)

REGION = ParamHeader("Region", ("region",), "string")
COUNT = ParamHeader("Count", ("count",), "integer")
DRY = ParamHeader("Dry-Run", ("options", "dry"), "boolean")
ALL = (REGION, COUNT, DRY)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def tool(schema: dict[str, Any]) -> bytes:
    """Return a tool with this input schema."""
    return json.dumps({"name": "x", "inputSchema": {"type": "object", **schema}}).encode()


def marked(name: Any = "Region", kind: Any = "string") -> dict[str, Any]:
    """Return the schema of an annotated property."""
    return {"type": kind, "x-mcp-header": name}


def test_annotated_arguments_are_found_at_any_depth_of_properties() -> None:
    """In the order of the schema, whatever stands between."""
    schema = {
        "properties": {
            "plain": {"type": "string"},
            "options": {"type": "object", "properties": {"dry": marked("Dry-Run", "boolean")}},
            "x-mcp-header": marked("Region"),
            "properties": {"properties": {"properties": marked("Count", "integer")}},
        },
        "$defs": {"unused": {"type": "string"}},
    }
    assert read_param_headers(tool(schema)) == (
        ParamHeader("Dry-Run", ("options", "dry"), "boolean"),
        ParamHeader("Region", ("x-mcp-header",), "string"),
        ParamHeader("Count", ("properties", "properties"), "integer"),
    )


def test_an_annotation_counts_however_its_key_is_written() -> None:
    """Escapes are part of JSON."""
    raw = b'{"inputSchema":{"properties":{"r":{"type":"string","x\\u002dmcp-header":"R"}}}}'
    assert read_param_headers(raw) == (ParamHeader("R", ("r",), "string"),)


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"null", b'{"inputSchema":null}', b'{"inputSchema":[]}', b'{"inputSchema":true}',
     b'{"inputSchema":{"properties":[{"x-mcp-header":"A"}]}}', tool({}),
     b'{"inputSchema":{},"x-mcp-header":"A","outputSchema":{"x-mcp-header":"A"}}',
     tool({"description": "\u00e9 x-mcp-header"}),
     tool({"properties": {"a": {"default": marked(), "const": marked(), "enum": [marked()]}}}),
     tool({"properties": {"x-mcp-header": {"type": "string"}}})],
)  # fmt: skip
def test_a_tool_without_annotations_wants_no_headers(raw: bytes) -> None:
    """Data that looks like an annotation is none, nor is a property of that name."""
    assert read_param_headers(raw) == ()


@pytest.mark.parametrize(
    "name",
    ["", " ", "My Region", "Region:Primary", "Région", "Region\t1", "Region\n", "a\r\nb", "(a)",
     "a/b", '"a"', "a\x00", None, 3, True, ["Region"], {"a": 1}],
    ids=repr,
)  # fmt: skip
def test_a_name_that_no_header_can_have_drops_the_tool(name: Any) -> None:
    """RFC 9110, 5.6.2: one token character or more."""
    with pytest.raises(InvalidAnnotation, match="name"):
        read_param_headers(tool({"properties": {"a": marked(name)}}))


@pytest.mark.parametrize("name", ["Region", "a", "X-1", "!#$%&'*+-.^_`|~09azAZ"])
def test_every_token_is_a_name(name: str) -> None:
    """As it is written."""
    wanted = read_param_headers(tool({"properties": {"a": marked(name)}}))
    assert wanted == (ParamHeader(name, ("a",), "string"),)


@pytest.mark.parametrize(
    "kind", ["number", "object", "array", "null", "String", None, ["string"], ["string", "null"]],
    ids=repr,
)  # fmt: skip
def test_only_strings_integers_and_booleans_are_mirrored(kind: Any) -> None:
    """`number` is written differently by every language."""
    with pytest.raises(InvalidAnnotation, match="neither"):
        read_param_headers(tool({"properties": {"a": marked("A", kind)}}))
    with pytest.raises(InvalidAnnotation, match="neither"):
        read_param_headers(tool({"properties": {"a": {"x-mcp-header": "A"}}}))


@pytest.mark.parametrize("twin", ["Region", "region", "REGION"])
def test_a_header_is_wanted_once(twin: str) -> None:
    """Header names do not differ in case, at whatever depth they are wanted."""
    schema = {"properties": {"a": marked(), "b": {"properties": {"c": marked(twin)}}}}
    with pytest.raises(InvalidAnnotation, match="twice"):
        read_param_headers(tool(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "A"},
        {"properties": {"a": {"type": "array", "items": marked()}}},
        {"properties": {"a": {"items": [marked()]}}},
        {"properties": {"a": {"prefixItems": [{}, marked()]}}},
        {"properties": {"a": {"anyOf": [{"properties": {"b": marked()}}]}}},
        {"oneOf": [{"properties": {"a": marked()}}]},
        {"allOf": [{"allOf": [{"properties": {"a": marked()}}]}]},
        {"not": {"properties": {"a": marked()}}},
        {"if": {"properties": {"a": marked()}}},
        {"then": {"properties": {"a": marked()}}},
        {"else": {"properties": {"a": marked()}}},
        {"additionalProperties": marked()},
        {"patternProperties": {"^a": marked()}},
        {"dependentSchemas": {"a": {"properties": {"b": marked()}}}},
        {"$defs": {"a": marked()}, "properties": {"a": {"$ref": "#/$defs/a"}}},
        {"definitions": {"a": {"properties": {"b": marked()}}}},
    ],
    ids=str,
)
def test_an_annotation_where_no_path_leads_drops_the_tool(schema: dict[str, Any]) -> None:
    """Only a chain of `properties` says where in the arguments the value stands."""
    with pytest.raises(InvalidAnnotation, match="no argument"):
        read_param_headers(tool(schema))


AGREEING: list[tuple[Any, dict[str, list[str]]]] = [
    # arguments, headers
    ({"region": "us-west1"}, {"mcp-param-region": ["us-west1"]}),
    ({"region": ""}, {"mcp-param-region": [""]}),
    ({"region": ""}, {"mcp-param-region": ["=?base64??="]}),
    ({"region": "a b"}, {"mcp-param-region": [" \ta b "]}),
    ({"region": "Hello"}, {"mcp-param-region": ["=?base64?SGVsbG8=?="]}),
    ({"region": "Hello, 世界"}, {"mcp-param-region": ["=?base64?SGVsbG8sIOS4lueVjA==?="]}),
    ({"region": "SGVsbG8="}, {"mcp-param-region": ["SGVsbG8="]}),
    ({"region": "=?base64?SGVsbG8="}, {"mcp-param-region": ["=?base64?SGVsbG8="]}),
    ({"count": 42}, {"mcp-param-count": ["42"]}),
    ({"count": 42}, {"mcp-param-count": ["42.0"]}),
    ({"count": 42.0}, {"mcp-param-count": ["42"]}),
    ({"count": -7}, {"mcp-param-count": ["=?base64?LTc=?="]}),
    ({"count": 0}, {"mcp-param-count": ["-0"]}),
    ({"count": 2**53 + 1}, {"mcp-param-count": [str(2**53 + 1)]}),
    ({"count": "42"}, {"mcp-param-count": ["42"]}),
    ({"count": 4.5}, {"mcp-param-count": ["4.50"]}),
    ({"options": {"dry": True}}, {"mcp-param-dry-run": ["true"]}),
    ({"options": {"dry": False, "x": 1}}, {"mcp-param-dry-run": ["false"]}),
    ({"region": None, "count": None, "options": None}, {}),
    ({"region": None, "options": {"dry": None}}, {"mcp-param-region": []}),
    ({"region": {"a": 1}, "count": [1], "options": [{"dry": True}]}, {}),
    ({}, {"mcp-param-other": ["x"], "mcp-param-": ["y"]}),
    ({"Region": "x", "dry": True, "nested": {"region": "x"}}, {}),
    ([], {}),
]


@pytest.mark.parametrize(("arguments", "headers"), AGREEING, ids=str)
def test_headers_that_say_what_the_arguments_say_are_accepted(
    arguments: Any, headers: dict[str, list[str]]
) -> None:
    """Integers as numbers, all else as text; nothing for null (Value Encoding)."""
    check_param_headers(ALL, json.dumps(arguments).encode(), headers)


MISMATCHING: list[tuple[Any, dict[str, list[str]]]] = [
    ({"region": "us-west1"}, {}),
    ({"region": "us-west1"}, {"mcp-param-region": []}),
    ({"region": ""}, {}),
    ({"region": "us-west1"}, {"mcp-param-region": ["us-east1"]}),
    ({"region": "us-west1"}, {"mcp-param-region": ["US-WEST1"]}),
    ({"region": "us-west1"}, {"mcp-param-region": ["us-west1", "us-west1"]}),
    ({"region": "Hello"}, {"mcp-param-region": ["=?base64?SGVsbG8?="]}),
    ({"region": "Hello"}, {"mcp-param-region": ["=?base64?SGVs!!!bG8=?="]}),
    ({"region": "Hello"}, {"mcp-param-region": ["SGVsbG8="]}),
    ({"region": "é"}, {"mcp-param-region": ["é"]}),
    ({"region": "a\x7f"}, {"mcp-param-region": ["a\x7f"]}),
    ({"region": "aÿ"}, {"mcp-param-region": ["a\udcff"]}),
    ({"region": "42"}, {"mcp-param-region": ["42.0"]}),
    ({"region": "true"}, {"mcp-param-region": ["True"]}),
    ({"region": None}, {"mcp-param-region": ["null"]}),
    ({"region": None}, {"mcp-param-region": [""]}),
    ({}, {"mcp-param-region": ["us-west1"]}),
    ({"region": {}}, {"mcp-param-region": ["{}"]}),
    ({"count": 42}, {"mcp-param-count": ["43"]}),
    ({"count": 42}, {"mcp-param-count": ["4.2e1"]}),
    ({"count": 42}, {"mcp-param-count": ["42.1"]}),
    ({"count": 42}, {"mcp-param-count": ["٤٢"]}),
    ({"count": 42}, {"mcp-param-count": ["0x2a"]}),
    ({"count": 2**53 + 1}, {"mcp-param-count": [str(2**53)]}),
    ({"count": 1}, {"mcp-param-count": ["true"]}),
    ({"options": {"dry": True}}, {"mcp-param-dry-run": ["1"]}),
    ({"options": {"dry": True}}, {"mcp-param-dry-run": ["TRUE"]}),
    ({"options": {"dry": False}}, {}),
    ({"options": None}, {"mcp-param-dry-run": ["false"]}),
    ({"options": []}, {"mcp-param-dry-run": ["false"]}),
    ([], {"mcp-param-region": ["x"]}),
]


@pytest.mark.parametrize(("arguments", "headers"), MISMATCHING, ids=ascii)
def test_headers_that_say_anything_else_are_refused(
    arguments: Any, headers: dict[str, list[str]]
) -> None:
    """Missing, different, repeated, badly encoded, or without a value behind them."""
    with pytest.raises(HeaderMismatch):
        check_param_headers(ALL, json.dumps(arguments).encode(), headers)


@pytest.mark.parametrize("arguments", [None, b""])
def test_a_call_without_arguments_has_no_such_headers(arguments: bytes | None) -> None:
    """There is nothing to mirror."""
    check_param_headers(ALL, arguments, {})
    assert emit_param_headers(ALL, arguments) == {}
    with pytest.raises(HeaderMismatch, match="Mcp-Param-Dry-Run"):
        check_param_headers(ALL, arguments, {"mcp-param-dry-run": ["false"]})


@pytest.mark.parametrize(
    "arguments",
    [b'{"region":"a","region":"b"}', b'{"region":"b","\\u0072egion":"a"}',
     b'{"options":{"dry":true},"options":{"dry":false}}'],
)  # fmt: skip
def test_an_argument_that_stands_twice_is_refused(arguments: bytes) -> None:
    """Whichever value the header has, some reader of the body takes the other."""
    for header, value in [("region", "a"), ("region", "b"), ("dry-run", "false")]:
        with pytest.raises(HeaderMismatch):
            check_param_headers(ALL, arguments, {f"mcp-param-{header}": [value]})


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"42", "42"), (b"-7", "-7"), (b"42.0", "42"), (b"1e2", "100"), (b"-0", "0"), (b"4.5", "4.5"),
     (b"1e400", "1e400"), (b"9" * 5000, "9" * 5000), (b"1e-99", "1e-99"), (b"1E+2", "100"),
     (b'"\\u00e9"', "=?base64?w6k=?="), (b"true", "true"), (b'"true"', "true"),
     (b"1e999999999", "1e999999999")],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_value_is_mirrored_as_its_type_is_written(raw: bytes, text: str) -> None:
    """Integers in decimal digits; what is none stays as it stands, for the tool to refuse."""
    arguments = b'{"count":%b}' % raw
    emitted = emit_param_headers([COUNT], arguments)
    assert emitted == {"Mcp-Param-Count": text}
    check_param_headers([COUNT], arguments, {"mcp-param-count": [text]})


def test_null_absent_and_structured_values_are_left_out() -> None:
    """A client must omit their headers."""
    assert emit_param_headers(ALL, b'{"region":null,"count":[1],"options":{"dry":{}}}') == {}
    assert emit_param_headers(ALL, b'{"options":{"dry":false}}') == {"Mcp-Param-Dry-Run": "false"}
    assert emit_param_headers((), b'{"region":"x"}') == {}


@given(TEXT, st.integers(), st.none() | st.booleans(), st.booleans())
def test_what_is_emitted_is_accepted_and_safe(
    region: str, count: int, dry: bool | None, ascii_only: bool
) -> None:
    """For every text and number, the headers of a call belong to it and to no other."""
    value = {"region": region, "options": {"dry": dry}, "count": count, "x": 1.0}
    arguments = json.dumps(value, ensure_ascii=ascii_only, indent=1).encode()
    emitted = emit_param_headers(ALL, arguments)
    headers = {name.lower(): [text] for name, text in emitted.items()}
    assert len(headers) == (2 if dry is None else 3)
    assert all(" " <= c <= "~" or c == "\t" for text in emitted.values() for c in text)
    check_param_headers(ALL, arguments, headers)
    other = json.dumps({**value, "count": count + 1}).encode()
    with pytest.raises(HeaderMismatch):
        check_param_headers(ALL, other, headers)
