"""A worker's copy of what legacy sessions watch, which it says again to a new host.

It tells the host, too, whose clients are still there: they have sent requests to this worker, or
have their streams here.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from only1mcp.backends.host_link import HostLink
from only1mcp.protocol.client_features import Feature
from only1mcp.sessions.watch_book import LET_GO_S, Place, WatchBook
from only1mcp.tasks import Tasks

REPORT_S = LET_GO_S / 12


class KeptWatches:
    """What the host has told us.

    Args:
        link: leads to the host.
        streams: returns the sessions that have a stream here.
        tasks: runs the reports.
    """

    def __init__(
        self, link: HostLink, streams: Callable[[], Iterable[int]], tasks: Tasks
    ) -> None:  # fmt: skip
        self._link = link
        self._streams = streams
        self._tasks = tasks
        self._book = WatchBook()
        self._seen: set[int] = set()
        self.is_reporting = False
        """Whether there is anything to report on."""

    def take(self, event: dict[str, Any]) -> None:
        """Take what the host tells: what a session watches, or no longer; nothing named is all."""
        if "kept" in event:
            serial, features, places = event["kept"]
            for server_id, uri in places:
                self._book.add(serial, Feature(features), (server_id, uri))
            if not self.is_reporting:
                self.is_reporting = True
                self._tasks.spawn(self._report_on())
            return
        serial, places = event["let_go"]
        for server_id, uri in places:
            self._book.remove(serial, (server_id, uri))
        if not places:
            self._book.drop(serial)

    def ended(self, serial: int) -> None:
        """Forget a session that was ended."""
        self._book.drop(serial)

    def watched(self, serial: int) -> list[Place]:
        """Return what a session watches."""
        return self._book.places(serial)

    def saw(self, serial: int) -> None:
        """Note that the client of a session has sent something."""
        if serial in self._book:
            self._seen.add(serial)

    def greet(self) -> None:
        """Tell a host that has just come, which may know all of it."""
        for serial, page in self._book.pages:
            self._link.note({"kept": [serial, int(page.features), list(page.places)]})
        self._report()

    async def _report_on(self) -> None:
        while self._book.serials:
            await asyncio.sleep(REPORT_S)
            self._report()
        self.is_reporting = False

    def _report(self) -> None:
        seen = [serial for serial in {*self._seen, *self._streams()} if serial in self._book]
        self._seen.clear()
        if seen:
            self._link.note({"alive": seen})
