"""What legacy sessions watch, from their word to their end, and over the death of a host.

Workers have a copy of it and say it again to a host that takes the place of one that was killed;
all say the same, and what was let go here meanwhile is not taken back from one that has not heard
of it. A session lets go of everything when it ends, or when its client has not been there for long.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import PassingSink, ReplySink
from only1mcp.host.watching import Watching
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link
from only1mcp.links.wire import CallFrame
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import UNSUBSCRIBE
from only1mcp.sessions.watch_book import LET_GO_S, Place, WatchBook
from only1mcp.tasks import Tasks

SWEEP_S = LET_GO_S / 12
MAX_GONE = 10_000
"""What was let go and is remembered: a worker that says otherwise has not heard of it."""


class SessionWatches:
    """Keeps the book of sessions, and the workers' copies.

    Args:
        watching: has servers told.
        links: the workers.
        tasks: runs what takes time.
        is_ended: says whether a session was ended before its time.
    """

    def __init__(
        self, watching: Watching, links: set[Link], tasks: Tasks, is_ended: Callable[[int], bool]
    ) -> None:
        self._watching = watching
        self._links = links
        self._tasks = tasks
        self._is_ended = is_ended
        self._book = WatchBook()
        self._gone: OrderedDict[tuple[int, Place], None] = OrderedDict()
        self._is_sweeping = False
        self.starts = True
        """Whether workers are still to come that tell of the host before us."""

    def noting(self, frame: CallFrame, sink: ReplySink) -> ReplySink:
        """Note a client's request to watch a resource, or no longer; returns who hears its end."""
        serial, place = frame.session, (frame.server_id, str(orjson.loads(frame.params)["uri"]))
        if frame.method != UNSUBSCRIBE:
            return _Noted(sink, partial(self._watched, serial, Feature(frame.features), place))
        self._book.remove(serial, place)
        self._gone[serial, place] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)
        self._broadcast({"let_go": [serial, [place]]})
        return sink

    def _watched(self, serial: int, features: Feature, place: Place) -> None:
        self._gone.pop((serial, place), None)
        if self._is_ended(serial):  # while the server was asked
            self._watching.session_ended(serial)
        elif self._add(serial, features, place):
            self._broadcast(_kept(serial, features, [place]))

    def _add(self, serial: int, features: Feature, place: Place) -> bool:
        is_new = self._book.add(serial, features, place)
        self._book.saw(serial, monotonic())
        if not self._is_sweeping:
            self._is_sweeping = True
            self._tasks.spawn(self._sweep())
        if self._book.is_full:
            self._let_go()
        return is_new

    def ended(self, serial: int) -> None:
        """Forget a session that was ended; the workers know."""
        self._book.drop(serial)
        self._watching.session_ended(serial)

    def greet(self, link: Link) -> None:
        """Tell a worker that has just come."""
        for serial, page in self._book.pages:
            _send(link, _kept(serial, page.features, list(page.places)))

    def take(self, link: Link, note: dict[str, Any]) -> None:
        """Take a worker's note: whose clients are there, or what it knows of a host before us."""
        if "alive" in note:
            for serial in note["alive"]:
                self._book.saw(serial, monotonic())
            return
        serial, features, places = note["kept"]
        if self._is_ended(serial):
            _send(link, {"ended": serial})
        else:
            self._take_again(link, serial, Feature(features), [(one, uri) for one, uri in places])

    def _take_again(self, link: Link, serial: int, features: Feature, places: list[Place]) -> None:
        """Have a session go on watching what it did, unless it has left that since."""
        gone, new = list[Place](), list[Place]()
        for place in places:
            if (serial, place) in self._gone or not self._watching.is_known(place[0]):
                gone.append(place)
            elif self._add(serial, features, place):
                new.append(place)
            elif not self.starts:  # what was missed was told before this worker came
                _send(link, _updated(serial, place))
        if gone:
            _send(link, {"let_go": [serial, gone]})
        if new:
            self._broadcast(_kept(serial, features, new))
            self._watching.watch_again(serial, features, new, starts=self.starts)

    async def _sweep(self) -> None:
        """Let go of what sessions watch whose clients are not there any more."""
        while self._book.serials:
            await asyncio.sleep(SWEEP_S)
            self._let_go()
        self._is_sweeping = False

    def _let_go(self) -> None:
        for serial in self._book.to_let_go(monotonic(), LET_GO_S):
            self._book.drop(serial)
            self._watching.let_go(serial)
            self._broadcast({"let_go": [serial, []]})

    def _broadcast(self, event: dict[str, Any]) -> None:
        for link in self._links:
            _send(link, event)


@dataclass(eq=False, frozen=True, slots=True)
class _Noted(PassingSink):
    """Notes what a server agrees to tell of."""

    sink: ReplySink
    watched: Callable[[], None]

    def on_reply(self, reply: Envelope) -> None:
        if reply.result_end:
            self.watched()
        self.sink.on_reply(reply)


def _kept(serial: int, features: Feature, places: list[Place]) -> dict[str, Any]:
    return {"kept": [serial, int(features), places]}


def _updated(serial: int, place: Place) -> dict[str, Any]:
    server_id, uri = place
    params = orjson.dumps({"uri": uri}).decode()
    return {"updated": uri, "params": params, "sessions": [serial], "server": server_id}


def _send(link: Link, event: dict[str, Any]) -> None:
    link.send(Kind.EVENT, 0, orjson.dumps(event))
