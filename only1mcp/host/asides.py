"""What servers say on the streams of workers' calls that is about more than the call.

The other end of `only1mcp.worker.asides`: the workers have forgotten what they kept, and tell us
what there is to look at, and to pass on.
"""

from collections.abc import Callable, Iterable

import orjson

from only1mcp.host.feed import Feed
from only1mcp.host.roster import Roster

MOST_URIS = 100
"""Of one note; beyond that all that is watched counts as updated."""


class Asides:
    """Treats it as if the server had told us.

    Args:
        roster: the servers.
        watched: returns the resources of a server that anybody watches.
        on_updated: takes a server's id, the URI of a resource that was updated, and what is said.
    """

    def __init__(
        self, roster: Roster, watched: Callable[[str], Iterable[str]],
        on_updated: Callable[[str, str, bytes], None],
    ) -> None:  # fmt: skip
        self._roster = roster
        self._watched = watched
        self._on_updated = on_updated

    def take(self, server_id: str, lists: list[str], uris: list[str] | None) -> None:
        """Take what one server has said to one worker.

        While it is down for us it has no feed: its lists are read when it is back.

        Args:
            server_id: the server.
            lists: the notifications that told of changed lists.
            uris: the resources that were updated; None for so many that any may be.
        """
        server = self._roster.current(server_id)
        if server is None:
            return
        for uri in self._concerned(set(self._watched(server_id)), uris):
            self._on_updated(server_id, uri, orjson.dumps({"uri": uri}))
        if isinstance(server.feed, Feed):
            for method in lists:
                server.feed.changed(method)

    @staticmethod
    def _concerned(watched: set[str], uris: list[str] | None) -> Iterable[str]:
        """Return what somebody watches, or watches as a part of something; nobody asks for more."""
        if uris is None or len(uris) > MOST_URIS:
            return watched
        return [uri for uri in uris if any(uri.startswith(one) for one in watched)]
