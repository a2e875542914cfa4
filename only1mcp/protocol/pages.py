"""Pages of a merged list: cursors of our own, opaque to clients (server/utilities/pagination)."""

import base64
import re
from collections.abc import Sequence

from only1mcp.errors import InvalidParams

_OFFSET = re.compile(rb"o([1-9][0-9]{0,17})")


def encode_cursor(offset: int) -> str:
    """Name the item at which the next page starts."""
    return base64.urlsafe_b64encode(b"o%d" % offset).decode().rstrip("=")


def decode_cursor(cursor: object, total: int, page_size: int) -> int:
    """Return the offset that a cursor of ours names.

    Only the first item of a page is one: pages are kept once they are written, and a client that
    makes up cursors must not have us keep one for each item.

    Raises:
        InvalidParams: the cursor is not one that we gave for a list of this length.
    """
    if isinstance(cursor, str):
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raw = b""
        match = _OFFSET.fullmatch(raw)
        offset = int(match.group(1)) if match is not None else 0
        if 0 < offset < total and offset % page_size == 0:
            return offset
    raise InvalidParams("the cursor is not valid", hint="list again from the start")


def render(
    items: Sequence[bytes], key: str, offset: int, page_size: int, extra: bytes = b""
) -> bytes:
    """Write the list result that starts at `offset`; `extra` is members to add, with no comma."""
    parts = [b'"%b":[%b]' % (key.encode(), b",".join(items[offset : offset + page_size]))]
    if offset + page_size < len(items):
        parts.append(b'"nextCursor":"%b"' % encode_cursor(offset + page_size).encode())
    if extra:
        parts.append(extra)
    return b"{%b}" % b",".join(parts)
