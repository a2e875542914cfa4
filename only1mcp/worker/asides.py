"""What servers say on the stream of a call that is about more than the call.

Their lists have changed, or a resource was updated: what a server does for a call may cause that,
and its code may say so where it answers, and nowhere else (2025-11-25, basic/transports, Sending
Messages to the Server). Workers call HTTP servers themselves, so that the host has not heard it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.memory.cache_epochs import RESOURCE, CacheEpochs
from only1mcp.protocol.subscriptions import KINDS, UPDATED, list_changed, updated_uri

PAUSE_S = 0.1
"""Between two notes about a server, however much it says."""
MOST_CHARACTERS = 16_384
"""Of the names of resources in one note."""
_LISTS = frozenset(map(list_changed, KINDS))


@dataclass(slots=True)
class _News:
    """What one server has said since the last note."""

    lists: set[str] = field(default_factory=set)
    """The notifications that told of lists."""
    uris: set[str] | None = field(default_factory=set)
    """The resources that were updated; None for more than a note may name."""
    size: int = 0

    def add(self, uri: str) -> None:
        """Name one more resource."""
        if self.uris is not None and uri not in self.uris:
            self.size += len(uri) + 1
            self.uris.add(uri)
        if self.size > MOST_CHARACTERS:
            self.uris = None


class Asides:
    """Sees to it that nothing is given again that has changed, and tells the host.

    What is kept is forgotten at once: whoever has the answer to a call that changed something does
    not get what there was before. All else can wait a moment: what is said meanwhile is told
    together, so that no server makes more of it than the host can bear.

    Args:
        epochs: the words that say which kept answers are good.
        note: tells the host.
    """

    def __init__(self, epochs: CacheEpochs, note: Callable[[dict[str, Any]], None]) -> None:
        self._epochs = epochs
        self._note = note
        self._slots: Mapping[str, int] = {}
        self._news: dict[str, _News] = {}
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, slots: Mapping[str, int]) -> None:
        """Hear these servers from now on."""
        self._slots = slots

    def take(self, server_id: str, message: Envelope) -> None:
        """Take a notification, before its call is answered."""
        slot, method = self._slots.get(server_id), message.method or ""
        uri = updated_uri(message) if method == UPDATED else None
        if slot is None or (uri is None and method not in _LISTS):
            return
        news = self._news.setdefault(server_id, _News())
        if uri is None:
            self._epochs.server(slot)
            news.lists.add(method)
        else:
            self._epochs.target(slot, RESOURCE, uri)
            news.add(uri)
        if self._timer is None:
            self._tell()

    def _tell(self) -> None:
        """Tell the host of each server what it has said, and then nothing for a while."""
        told, self._news, self._timer = self._news, {}, None
        for server_id, news in told.items():
            uris = None if news.uris is None else sorted(news.uris)
            self._note({"aside": [server_id, sorted(news.lists), uris]})
        if told:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._tell)
