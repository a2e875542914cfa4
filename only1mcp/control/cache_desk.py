"""What is told of the workers' caches, and how they are cleared."""

from typing import Any

from only1mcp.control.reloader import Reloader
from only1mcp.memory.cache_epochs import TOOL, CacheEpochs
from only1mcp.observability.cache_metrics import described
from only1mcp.observability.metrics import MetricsReader
from only1mcp.process.context import Shared
from only1mcp.protocol.names import qualify


class CacheDesk:
    """Speaks for all workers: what they count is in shared memory, and so is what they obey."""

    def __init__(self, shared: Shared, metrics: MetricsReader, reloader: Reloader) -> None:
        self._epochs = CacheEpochs(shared.memory, shared.ended_lock)
        self._metrics = metrics
        self._reloader = reloader

    def show(self) -> dict[str, Any]:
        """Return what is kept, and what came of it, by server."""
        limits = self._reloader.settings.cache
        shelves = self._metrics.shelves(self._metrics.totals())
        return {
            "enabled": limits is not None,
            "max_bytes_per_worker": limits.max_bytes if limits is not None else 0,
            "servers": [described(server_id, shelf) for server_id, shelf in shelves],
        }

    def clear(self, server_id: str | None, tool: str | None) -> tuple[int, dict[str, Any]]:
        """Have all workers forget everything, what a server said, or what one of its tools did.

        The tool goes by the server's own name or by the one that clients use.
        """
        settings = self._reloader.settings
        server = next((one for one in settings.servers if one.id == server_id), None)
        if server_id is not None and server is None:
            message = f"there is no server {server_id!r}"
            return 404, {"error": {"code": "NOT_FOUND", "message": message,
                                   "hint": "see: only1mcp list"}}  # fmt: skip
        if server is None:
            self._epochs.everything()
        elif tool is None:
            self._epochs.server(settings.slot_of[server.id])
        else:
            before = qualify(server.prefix, "") if server.prefix else ""
            for name in {tool, tool.removeprefix(before)}:
                self._epochs.target(settings.slot_of[server.id], TOOL, name)
        return 200, {"cleared": {"server": server_id, "tool": tool}}
