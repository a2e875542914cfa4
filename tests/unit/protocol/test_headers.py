"""The encoding of header values: plain where possible, else base64 of UTF-8 between markers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import HeaderMismatch
from only1mcp.protocol.headers import decode_value, encode_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    "value", ["get_weather", "a b", "file:///x?y=z", "a\tb", "~!@#$%^&*()", ""]
)
def test_printable_ascii_stands_as_it_is(value: str) -> None:
    """Nothing is encoded that need not be."""
    assert encode_value(value) == value
    assert decode_value(value) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("é", "=?base64?w6k=?="),
        (" a", "=?base64?IGE=?="),
        ("a ", "=?base64?YSA=?="),
        ("a\tb\t", "=?base64?YQliCQ==?="),
        ("a\r\nSet-Cookie: x", "=?base64?YQ0KU2V0LUNvb2tpZTogeA==?="),
        ("\x7f", "=?base64?fw==?="),
        ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("=?base64?", "=?base64?PT9iYXNlNjQ/?="),
    ],
)
def test_all_else_is_encoded_the_sentinel_itself_included(value: str, encoded: str) -> None:
    """Other characters, edge white space and what looks encoded already travel as base64."""
    assert encode_value(value) == encoded
    assert decode_value(encoded) == value


@given(TEXT)
def test_every_text_survives_and_is_safe_in_a_header(value: str) -> None:
    """Decoding undoes encoding, and the encoded form is printable ASCII without edge spaces."""
    encoded = encode_value(value)
    assert all(" " <= c <= "~" or c == "\t" for c in encoded)
    assert encoded == encoded.strip(" \t")
    assert decode_value(encoded) == value


@pytest.mark.parametrize("value", ["  a", "a\t", " \ta \t"])
def test_white_space_around_a_plain_value_does_not_count(value: str) -> None:
    """HTTP lets senders put it there."""
    assert decode_value(value) == "a"


@pytest.mark.parametrize(
    "value", ["=?BASE64?YQ==?=", "=?base64?YQ==", "base64?YQ==?=", "=?base64YQ==?="]
)
def test_what_only_resembles_the_sentinel_is_plain(value: str) -> None:
    """The markers are exact, lower case included."""
    assert decode_value(value) == value


@pytest.mark.parametrize(
    "inner", ["YQ", "YQ=", "Y Q==", "YQ==\n", "_-8=", "é", "/w==", "7aCA", "=", "YQ==YQ=="]
)
def test_a_sentinel_around_anything_but_base64_of_utf_8_is_refused(inner: str) -> None:
    """A value that two readers could decode differently is no value."""
    with pytest.raises(HeaderMismatch):
        decode_value(f"=?base64?{inner}?=")


def test_an_empty_sentinel_is_the_empty_text() -> None:
    """Base64 of nothing is nothing."""
    assert decode_value("=?base64??=") == ""
