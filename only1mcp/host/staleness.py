"""Tells the workers' caches what has changed, before any client hears of it."""

from collections.abc import Callable, Iterable, Mapping

from only1mcp._speedups import Envelope
from only1mcp.memory.cache_epochs import RESOURCE, CacheEpochs
from only1mcp.protocol.subscriptions import LIST_CHANGED, UPDATED, updated_uri


class Staleness:
    """What servers say of changes, as words in shared memory.

    Args:
        epochs: the words.
        slots: returns the slots of the servers that are configured now.
        watched: returns the resources of a server that anybody watches.
    """

    def __init__(
        self, epochs: CacheEpochs, slots: Callable[[], Mapping[str, int]],
        watched: Callable[[str], Iterable[str]],
    ) -> None:  # fmt: skip
        self._epochs = epochs
        self._slots = slots
        self._watched = watched
        epochs.everything()  # what was said while there was no host, nobody has heard

    def lists_changed(self, server_id: str) -> None:
        """A server offers other things, so that it may answer otherwise."""
        slot = self._slots().get(server_id)
        if slot is not None:
            self._epochs.server(slot)

    def updated(self, server_id: str, uri: str) -> None:
        """A resource was updated, and so were those that are watched which it is a part of."""
        slot = self._slots().get(server_id)
        if slot is None:
            return
        wholes = {one for one in self._watched(server_id) if uri.startswith(one)}
        for target in wholes | {uri}:
            self._epochs.target(slot, RESOURCE, target)

    def said(self, server_id: str, message: Envelope) -> None:
        """A server said something on the connection of a single client."""
        method = message.method or ""
        if method.endswith(LIST_CHANGED):
            self.lists_changed(server_id)
        elif method == UPDATED:
            uri = updated_uri(message)
            if uri is not None:
                self.updated(server_id, uri)
