"""The open channels of a worker, which end in order when the worker does."""

from only1mcp.backends.call import Cancel
from only1mcp.ingress.duplex import Duplex


class Channels:
    """Each channel with what hangs it up."""

    def __init__(self) -> None:
        self._open: dict[Duplex, Cancel] = {}
        self._draining = False
        self.read_from: set[object] = set()
        """Connections that are to be read until they end: what their clients say goes on."""

    def add(self, duplex: Duplex, hang_up: Cancel) -> None:
        """Keep a channel until `remove`."""
        self._open[duplex] = hang_up
        if self._draining:
            duplex.retire(hang_up)

    def remove(self, duplex: Duplex) -> None:
        """Close a channel that is gone."""
        del self._open[duplex]
        duplex.close()

    def drain(self) -> None:
        """Hang up each channel as soon as nothing is under way on it."""
        self._draining = True
        for duplex, hang_up in list(self._open.items()):
            duplex.retire(hang_up)
