"""The way in to control's own socket: nobody is heard but our own user and root."""

import asyncio
from collections.abc import Callable
from typing import cast

from only1mcp.links.link import may_ask


class OwnersDoor(asyncio.Protocol):
    """Looks who is there, and leaves the connection to the one behind it.

    Args:
        make: makes that one.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse everybody else before a byte of theirs is read."""
        opened = cast("asyncio.Transport", transport)
        if not may_ask(opened):
            opened.abort()
            return
        behind = self._make()
        opened.set_protocol(behind)
        behind.connection_made(opened)
