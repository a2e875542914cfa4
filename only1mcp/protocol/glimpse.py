"""What a message is that nobody holds whole: both its ends are enough to tell. Pure.

SDKs write the id before or after what makes a message large.
"""

import re
from dataclasses import dataclass

_MEMBER = rb'"(id|method|jsonrpc)"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)\s*'
_FIRST = re.compile(rb"\s*[{,]\s*" + _MEMBER + rb"(?=[,}])")
_LAST = re.compile(rb"(?:,\s*" + _MEMBER + rb")+\}\s*\Z")
_EACH = re.compile(_MEMBER)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A message's members that tell whom it concerns, as raw JSON; empty where they are unknown."""

    id: bytes
    method: bytes


def glimpse(head: bytes, tail: bytes) -> Glimpse:
    """Read what stands before the first large member, and after the last one."""
    found: dict[bytes, bytes] = {}
    at = 0
    while (member := _FIRST.match(head, at)) is not None:
        found[member[1]] = member[2]
        at = member.end()
    last = _LAST.search(tail)
    for member in _EACH.finditer(last[0]) if last is not None else ():
        found.setdefault(member[1], member[2])
    return Glimpse(found.get(b"id", b""), found.get(b"method", b""))
