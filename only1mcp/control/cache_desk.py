"""What is told of the workers' caches, and how they are cleared."""

import asyncio
import difflib
from collections.abc import Iterable
from typing import Any

from only1mcp.control.host_question import tools_of
from only1mcp.control.reloader import Reloader
from only1mcp.ingress.admin_refusal import refusal
from only1mcp.memory.cache_epochs import TOOL, CacheEpochs
from only1mcp.memory.processes import State, read_processes
from only1mcp.observability.cache_metrics import described
from only1mcp.observability.metrics import MetricsReader
from only1mcp.process.context import Shared
from only1mcp.protocol.names import qualify

Answer = tuple[int, dict[str, Any]]
OBEY_S = 5.0
_LOOK_S = 0.01
_NAMED = 10
"""How many names a hint holds: those that are most like the one that there is not."""
_COMPARED = 100
"""Of what was asked for: comparing takes a time that grows with it."""


class CacheDesk:
    """Speaks for all workers: what they count is in shared memory, and so is what they obey."""

    def __init__(self, shared: Shared, metrics: MetricsReader, reloader: Reloader) -> None:
        self._memory = shared.memory
        self._epochs = CacheEpochs(shared.memory, shared.ended_lock)
        self._metrics = metrics
        self._reloader = reloader
        self._host_socket = shared.runtime_dir.host_socket

    def show(self) -> dict[str, Any]:
        """Return what is kept, and what came of it, by server."""
        limits = self._reloader.settings.cache
        shelves = self._metrics.shelves(self._metrics.totals())
        return {
            "enabled": limits is not None,
            "max_bytes_per_worker": limits.max_bytes if limits is not None else 0,
            "servers": [described(server_id, shelf) for server_id, shelf in shelves],
        }

    async def clear(self, server_id: str | None, tool: str | None) -> Answer:
        """Have all workers forget everything, what a server said, or what one of its tools did.

        The tool goes by the server's own name or by the one that clients use. From this moment on
        nothing of that is given; by the answer, workers that serve count it no more, either.
        """
        status, body = await self._clear(server_id, tool)
        if status == 200:
            await self._swept()
        return status, body

    async def _clear(self, server_id: str | None, tool: str | None) -> Answer:
        if server_id is not None:
            return await self._clear_server(server_id, tool)
        if tool is not None:
            message = f"the server of the tool {tool!r} is not named"
            return 400, refusal("NO_SERVER", message, "name it beside the tool")
        self._epochs.everything()
        return _cleared(None, None)

    async def _swept(self) -> None:
        """Wait until each worker has let go of what was cleared; for one that hangs not long."""
        changes, loop = self._epochs.changes, asyncio.get_running_loop()
        deadline = loop.time() + OBEY_S
        while True:
            late = any(
                row.role == "worker" and row.state is State.READY
                and self._memory.swept[row.index] < changes
                for row in read_processes(self._memory)
            )  # fmt: skip
            if not late or loop.time() > deadline:
                return
            await asyncio.sleep(_LOOK_S)

    async def _clear_server(self, server_id: str, tool: str | None) -> Answer:
        settings = self._reloader.settings
        server = next((one for one in settings.servers if one.id == server_id), None)
        if server is None:
            known = [one.id for one in settings.servers]
            return _unknown(f"there is no server {server_id!r}", server_id, "the servers", known)
        slot = settings.slot_of[server_id]
        if tool is None:
            self._epochs.server(slot)
            return _cleared(server_id, None)
        bare = tool.removeprefix(qualify(server.prefix, "")) if server.prefix else tool
        offered = await tools_of(self._host_socket, server_id)
        if offered is not None and {tool, bare}.isdisjoint(offered):
            message = f"server {server_id} has no tool {tool!r}"
            return _unknown(message, bare, "its tools", offered)
        for name in {tool, bare}:
            self._epochs.target(slot, TOOL, name)
        return _cleared(server_id, tool)


def _cleared(server_id: str | None, tool: str | None) -> Answer:
    return 200, {"cleared": {"server": server_id, "tool": tool}}


def _unknown(message: str, wanted: str, what: str, known: Iterable[str]) -> Answer:
    """Say that there is no such thing, and what there is instead."""
    wanted = wanted[:_COMPARED]
    ranked = sorted(known, key=lambda one: -difflib.SequenceMatcher(None, wanted, one).ratio())
    shown = ", ".join(ranked[:_NAMED])
    more = f" and {len(ranked) - _NAMED} more" if len(ranked) > _NAMED else ""
    hint = f"{what} are: {shown}{more}" if ranked else "there are none"
    return 404, refusal("NOT_FOUND", message, hint)
