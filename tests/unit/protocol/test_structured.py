"""Output schemas and structured results on their way to legacy clients."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp._speedups import scan
from only1mcp.protocol.structured import (
    result_for_legacy_client,
    takes_tasks,
    tool_for_legacy,
    without_task_support,
    wraps_output,
)

ODD = b'{"n": 1.0,"huge":1e400 ,"\\u0061":"\\/\xc3\xa9","deep":[{ }]}'
"""Values that a parser and writer on the way would change."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "schema",
    [b'{"type":"array","items": {"const":1.0}}', b"{ }", b'{"anyOf":[{"type":"object"}]}',
     b'{"type":["object"],"x":1e400}', b'{"type":"Object"}', b'{"type":null}',
     b'{"oneOf":[],"properties":{"type":{"const":"object"}}}'],
)  # fmt: skip
def test_a_schema_with_another_root_is_put_below_result(schema: bytes) -> None:
    """Legacy revisions demand `type: object` at the root; all other bytes stay."""
    tool = b'{ "name":"x", "outputSchema" : %b ,"y": 1.0 }' % schema
    assert wraps_output(tool)
    assert tool_for_legacy(tool) == (
        b'{ "name":"x", "outputSchema" : {"type":"object","properties":{"result":%b},'
        b'"required":["result"]} ,"y": 1.0 }' % schema
    )


@pytest.mark.parametrize(
    "tool",
    [b'{"name":"x"}', b"{}", b"null", b'{"outputSchema":{"x":1.0,"type" : "object"}}',
     b'{"outputSchema":{"\\u0074ype":"\\u006fbject"}}', b'{"outputSchema":null}',
     b'{"outputSchema":[]}', b'{"outputSchema":true}', b'{"inputSchema":{"type":"array"}}'],
)  # fmt: skip
def test_any_other_tool_stays_as_it_is(tool: bytes) -> None:
    """The very same bytes."""
    assert not wraps_output(tool)
    assert tool_for_legacy(tool) is tool


REFERENCES = [
    (b'{"$ref":"#/$defs/a","$defs":{"a": {"type":"null"}}}',
     b'{"$ref":"#/properties/result/$defs/a","$defs":{"a": {"type":"null"}}}'),
    (b'{"items" : {"$ref" : "#"} , "n":1.0}',
     b'{"items" : {"$ref" : "#/properties/result"} , "n":1.0}'),
    (b'{"anyOf":[ 1e400, {"$dynamicRef":"#/a"} , {"$ref":"\\u0023/b\\/c"}]}',
     b'{"anyOf":[ 1e400, {"$dynamicRef":"#/properties/result/a"} ,'
     b' {"$ref":"#/properties/result/b/c"}]}'),
    (b'{"properties":{"$ref":{"$ref":"#/a"},"default":{"$ref":"#/b"}}}',
     b'{"properties":{"$ref":{"$ref":"#/properties/result/a"},'
     b'"default":{"$ref":"#/properties/result/b"}}}'),
    (b'{"$id":"#x","not":{"$ref":"#/a"}}', b'{"$id":"#x","not":{"$ref":"#/properties/result/a"}}'),
    (b'{"properties":{"$id":{"const":"u"},"a":{"$ref":"#"}}}',
     b'{"properties":{"$id":{"const":"u"},"a":{"$ref":"#/properties/result"}}}'),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "moved"), REFERENCES)
def test_references_follow_the_root_to_its_new_place(schema: bytes, moved: bytes) -> None:
    """A client that compiles the schema would fail on one that points nowhere."""
    found = tool_for_legacy(b'{"outputSchema":%b}' % schema)
    assert found == (
        b'{"outputSchema":{"type":"object","properties":{"result":%b},"required":["result"]}}'
        % moved
    )


@pytest.mark.parametrize(
    "schema",
    [b'{"$ref":"#anchor"}', b'{"$ref":"https://a/b#/c"}', b'{"$ref":"other#"}', b'{"$ref":1e400}',
     b'{"const":{"$ref":"#/a"},"enum":[{"$ref":"#"}],"default":{"$ref":"#"},"examples":[["#"]]}',
     b'{"$id":"https://a/b","items":{"$ref":"#/a"}}', b'{"description":"#/a","title":"\\u0023"}',
     b'{"items":{"$id":"urn:x","items":{"$ref":"#/a"}}}', b'{"dependencies":{"a":["#"]}}'],
)  # fmt: skip
def test_what_is_no_reference_to_the_old_root_is_left_alone(schema: bytes) -> None:
    """Anchors, other documents, data, and schemas with a root of their own."""
    found = tool_for_legacy(b'{"outputSchema":%b}' % schema)
    assert b'{"result":%b}' % schema in found


def test_the_dialect_of_a_schema_is_said_at_the_new_root_too() -> None:
    """Clients look for it there."""
    found = json.loads(tool_for_legacy(b'{"outputSchema":{"type":"array","$schema":"urn:d"}}'))
    assert found["outputSchema"]["$schema"] == "urn:d"
    assert found["outputSchema"]["properties"]["result"] == {"type": "array", "$schema": "urn:d"}
    odd = json.loads(tool_for_legacy(b'{"outputSchema":{"$schema":3}}'))
    assert list(odd["outputSchema"]) == ["type", "properties", "required"]


@given(st.dictionaries(TEXT, JSON, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_a_wrapped_schema_is_the_schema(
    schema: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    """Value for value, and the result is a valid message."""
    schema.pop("type", None)
    raw = json.dumps({"outputSchema": schema}, indent=indent, ensure_ascii=ascii_only).encode()
    wrapped = tool_for_legacy(raw)
    scan(b'{"jsonrpc":"2.0","id":1,"result":' + wrapped + b"}")
    assert json.loads(wrapped)["outputSchema"]["properties"]["result"] == schema
    assert not wraps_output(wrapped)
    assert tool_for_legacy(wrapped) is wrapped


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (b'{"name":"x","execution":{"taskSupport":"optional"},"n":1.0}', b'{"name":"x","n":1.0}'),
        (b'{ "execution" : {"x": 1e400,"taskSupport":"required"} }',
         b'{ "execution" : {"x":1e400} }'),
    ],
)  # fmt: skip
def test_a_tool_that_crosses_eras_offers_no_tasks(tool: bytes, expected: bytes) -> None:
    """What else it says of its execution stays."""
    assert without_task_support(tool) == expected


@pytest.mark.parametrize(
    "tool",
    [b'{"name":"x"}', b'{"execution":{}}', b'{"execution":{"x":1}}', b'{"execution":null}',
     b'{"taskSupport":"required","_meta":{"execution":{"taskSupport":"optional"}}}'],
)  # fmt: skip
def test_a_tool_that_offers_no_tasks_stays_as_it_is(tool: bytes) -> None:
    """The very same bytes."""
    assert without_task_support(tool) is tool


TEXT_BLOCK = b'[{"type":"text","text":"x"}]'
RESULTS = [
    # wrapped, result, expected
    (False, b'{"content":%b,"structuredContent":[ 1.0 ]}',
     b'{"content":%b,"structuredContent":{"result":[ 1.0 ]}}'),
    (False, b'{ "structuredContent" : 1e400 , "content":%b}',
     b'{ "structuredContent" : {"result":1e400} , "content":%b}'),
    (False, b'{"content":%b,"structuredContent":null}',
     b'{"content":%b,"structuredContent":{"result":null}}'),
    (True, b'{"content":%b,"structuredContent":{"a": 1.0},"isError":false}',
     b'{"content":%b,"structuredContent":{"result":{"a": 1.0}},"isError":false}'),
    (True, b'{"content":%b,"structuredContent":"s"}',
     b'{"content":%b,"structuredContent":{"result":"s"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("wrapped", "result", "expected"), RESULTS)
def test_a_value_of_another_kind_is_put_into_an_object(
    wrapped: bool, result: bytes, expected: bytes
) -> None:
    """And an object too when its schema was wrapped, so that both agree."""
    found = result_for_legacy_client(result.replace(b"%b", TEXT_BLOCK), wrapped)
    assert found == expected.replace(b"%b", TEXT_BLOCK)


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    "result",
    [b"{}", b"null", b'{"content":[]}', b'{"isError":true,"content":%b,"x":%b}' % (TEXT_BLOCK, ODD),
     b'{"_meta":{"structuredContent":[]}}'],
)  # fmt: skip
def test_a_result_without_structure_stays_as_it_is(result: bytes, wrapped: bool) -> None:
    """Nothing is invented."""
    assert result_for_legacy_client(result, wrapped) is result


@pytest.mark.parametrize("content", [TEXT_BLOCK, b'[{"type":"image"}]', b'{"odd":1}', b'"odd"'])
def test_an_object_with_content_beside_it_stays_as_it_is(content: bytes) -> None:
    """The very same bytes; content of the wrong type is the server's own fault."""
    result = b'{"structuredContent": %b , "content":%b}' % (ODD, content)
    assert result_for_legacy_client(result, False) is result


@pytest.mark.parametrize("empty", [b"", b'"content":null,', b'"content":[],', b'"content":[ \n],'])
@pytest.mark.parametrize("value", [ODD, b"[ 1.0 ]", b'"\\u0061"', b"1e400", b"false"])
def test_structure_without_content_is_given_as_text_too(value: bytes, empty: bytes) -> None:
    """The JSON as the server wrote it, for clients that read content only."""
    result = b'{%b"structuredContent":%b,"isError":false}' % (empty, value)
    found = json.loads(result_for_legacy_client(result, False))
    assert found["content"] == [{"type": "text", "text": value.decode()}]
    assert found["isError"] is False
    expected = json.loads(value) if value is ODD else {"result": json.loads(value)}
    assert found["structuredContent"] == expected


@given(JSON, st.booleans(), st.booleans())
def test_every_value_reaches_a_legacy_client(value: Any, wrapped: bool, content: bool) -> None:
    """As an object that holds it, or as itself."""
    whole = {"structuredContent": value, **({"content": [{"type": "image"}]} if content else {})}
    found = json.loads(result_for_legacy_client(json.dumps(whole).encode(), wrapped))
    inside = wrapped or not isinstance(value, dict)
    assert found["structuredContent"] == ({"result": value} if inside else value)
    assert found["content"] == whole.get("content", [{"type": "text", "text": json.dumps(value)}])


@pytest.mark.parametrize(
    ("execution", "takes"),
    [(None, False), ({}, False), ({"taskSupport": "forbidden"}, False),
     ({"taskSupport": "optional"}, True), ({"taskSupport": "required"}, True),
     ({"taskSupport": True}, False), ([], False)],
)  # fmt: skip
def test_a_tool_takes_tasks_only_if_it_says_so(execution: object, takes: bool) -> None:
    """Forbidden is the default."""
    assert takes_tasks(json.dumps({"name": "x", "execution": execution}).encode()) is takes
