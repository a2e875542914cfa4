"""Where the workers' fast lanes reach the servers that the host owns."""

import asyncio
from collections.abc import Callable
from typing import Any

from only1mcp._speedups import WorkerLine
from only1mcp.links.link import is_ours
from only1mcp.links.wire import encode_failure

MAX_SLOTS = 2**16


class LaneDesk:
    """The links of the workers' lanes, and what takes their calls.

    Args:
        find: returns what takes plain calls for an address now; None when nothing does. An address
            is a server's slot and, times `MAX_SLOTS`, the number of its process; 0 for any.
    """

    def __init__(self, find: Callable[[int], Any]) -> None:
        self._find = find
        self._found: dict[int, Any] = {}
        self.lines: set[Any] = set()

    def line(self) -> asyncio.Protocol:
        """Make our end of a new link."""
        line: asyncio.Protocol = WorkerLine(
            self._found, self._look, is_ours, encode_failure, self.lines.discard
        )
        self.lines.add(line)
        return line

    def _look(self, address: int) -> Any:
        """Find what takes calls, and remember it until something changes."""
        found = self._find(address)
        if found is not None:
            self._found[address] = found
        return found

    def forget(self) -> None:
        """Learn that calls may have to go elsewhere."""
        self._found.clear()
