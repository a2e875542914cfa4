"""Members of raw objects, with all other bytes untouched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.raw_object import fields, with_field, without_fields

KEYS = st.text('ab"\\é\n😀', max_size=3)
OBJECTS = st.dictionaries(KEYS, st.none() | st.integers() | st.text(max_size=3), max_size=4)


def write(value: Any, indent: int | None, ascii_only: bool) -> bytes:
    """Write JSON in one of the ways that people write it."""
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize("raw", [b"", b"null", b"3", b'"{}"', b'[{"a":1}]', b"{}", b"{ }"])
def test_what_is_no_object_or_empty_has_no_members(raw: bytes) -> None:
    """An absent value and one of another type read the same."""
    assert fields(raw) == {}
    assert without_fields(raw, {"a"}) is raw


def test_values_keep_their_own_bytes() -> None:
    """Numbers and white space inside a value are the sender's."""
    assert fields(b'{ "a" : 1.0 , "\\u0062":{ "x": 1e400 } }') == {
        "a": b"1.0", "b": b'{ "x": 1e400 }',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "changed"),
    [
        (b'{ "a" : 1.0 , "b":2 }', b'{ "a" : [7] , "b":2 }'),
        (b'{ "b": 1e400 }', b'{ "b": 1e400,"a":[7]}'),
        (b"{}", b'{"a":[7]}'),
        (b"{ \n}", b'{"a":[7]}'),
        (b"", b'{"a":[7]}'),
        (b"null", b'{"a":[7]}'),
        (b'{"a":1, "b":1.0,"a":2}', b'{"b":1.0,"a":[7]}'),
        (b'{"\\u0061":1}', b'{"\\u0061":[7]}'),
    ],
)
def test_a_member_is_replaced_where_it_stands_or_added_at_the_end(
    raw: bytes, changed: bytes
) -> None:
    """And stands there once, whatever was there before."""
    assert with_field(raw, "a", b"[7]") == changed


@given(OBJECTS, KEYS, st.sampled_from([None, 1]), st.booleans())
def test_setting_and_dropping_a_member_touch_no_other(
    value: dict[str, Any], key: str, indent: int | None, ascii_only: bool
) -> None:
    """Whatever the keys and however they are written."""
    raw = write(value, indent, ascii_only)
    assert json.loads(with_field(raw, key, b"[1]")) == {**value, key: [1]}
    left = without_fields(raw, {key})
    assert json.loads(left) == {k: v for k, v in value.items() if k != key}
    assert key in value or left is raw
