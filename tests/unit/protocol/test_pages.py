"""Cursors and pages of merged lists."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.errors import InvalidParams
from only1mcp.protocol.pages import decode_cursor, encode_cursor, render


@given(st.integers(1, 10**12), st.integers(1, 10**5), st.integers(1, 1000))
def test_our_own_cursors_lead_to_their_page(page: int, size: int, beyond: int) -> None:
    """A cursor is opaque, printable and comes back as its offset."""
    cursor = encode_cursor(page * size)
    assert cursor.isascii()
    assert decode_cursor(cursor, page * size + beyond, size) == page * size


@pytest.mark.parametrize(
    "cursor",
    [
        None, 3, 1.5, True, [], {}, "", "x", "é", "not base64!", "====", "AAAA", "bw", "\x00",
        encode_cursor(0), encode_cursor(3), encode_cursor(9), encode_cursor(10),
        encode_cursor(11), encode_cursor(10**30),
        base64.urlsafe_b64encode(b"o-1").decode(), base64.urlsafe_b64encode(b"o 1").decode(),
        base64.urlsafe_b64encode("o٣".encode()).decode(),
        base64.urlsafe_b64encode(b"o" + b"9" * 6000).decode(),
        base64.urlsafe_b64encode(b"p5").decode(),
    ],
    ids=lambda cursor: repr(cursor)[:30],
)  # fmt: skip
def test_any_other_cursor_is_refused(cursor: object) -> None:
    """Foreign, outdated and crafted cursors are -32602 with a way out."""
    with pytest.raises(InvalidParams) as caught:
        decode_cursor(cursor, 10, 5)
    assert caught.value.hint == "list again from the start"


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_following_the_cursors_visits_every_item_once_in_order(items: list[int], size: int) -> None:
    """Whatever the page size, nothing is lost or doubled, and the last page has no cursor."""
    raws = [b"%d" % item for item in items]
    seen: list[int] = []
    offset = 0
    while True:
        page = json.loads(render(raws, "tools", offset, size))
        assert len(page["tools"]) <= size
        seen += page["tools"]
        if "nextCursor" not in page:
            break
        offset = decode_cursor(page["nextCursor"], len(raws), size)
    assert seen == items


def test_items_and_extra_members_stand_as_their_own_bytes() -> None:
    """Nothing is parsed to make a page."""
    page = render([b'{"a": 1.0}', b'{"b":1e400}'], "tools", 0, 5, b'"ttlMs":0')
    assert page == b'{"tools":[{"a": 1.0},{"b":1e400}],"ttlMs":0}'


def test_an_empty_list_is_one_empty_page() -> None:
    """No items, no cursor."""
    assert render([], "prompts", 0, 10) == b'{"prompts":[]}'
