"""What legacy sessions watch, from their word to their end, and over the end of a host.

Workers have a copy of it and say it again to a host that takes the place of one that was killed;
all say the same, and what was let go here meanwhile is not taken back from one that has not heard
of it. The host of a program that is to take our place, our heir, hears the same for as long as both
are there. A session lets go of everything when it ends, or when its client has not been there for
long. With it goes from which severity on servers are to log for the sessions that hear them all.
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
from only1mcp.errors import BackendProtocolError, Only1MCPError
from only1mcp.host.watching import Watching
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link
from only1mcp.links.wire import CallFrame
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.subscriptions import UNSUBSCRIBE
from only1mcp.sessions.watch_book import LET_GO_S, Place, WatchBook
from only1mcp.tasks import Tasks

SWEEP_S = LET_GO_S / 12
TOLD = "told"
"""The event after which an heir knows all that is known so far."""
MAX_GONE = 10_000
"""What clients let go here and is remembered: a worker that says otherwise has not heard of it."""


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
        self._heirs: set[Link] = set()
        self._level: int | None = None
        self._is_sweeping = False
        self.starts = True
        """Whether workers are still to come that tell of the host before us."""

    def noting(self, frame: CallFrame, sink: ReplySink) -> ReplySink:
        """Note a client's request to watch a resource, or no longer; returns who hears its end."""
        serial, place = frame.session, (frame.server_id, str(orjson.loads(frame.params)["uri"]))
        if frame.method != UNSUBSCRIBE:
            watched = partial(self._watched, serial, Feature(frame.features), place)
            return _Noted(sink, watched, partial(self._refused, serial, place))
        self._leave(serial, place)
        return sink

    def _leave(self, serial: int, place: Place) -> None:
        self._gone[serial, place] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)
        self._strike(serial, place)

    def _strike(self, serial: int, place: Place) -> None:
        """Take a place out of the book, and of the workers' copies."""
        self._book.remove(serial, place)
        self._broadcast({"let_go": [serial, [place]]})

    def _watched(self, serial: int, features: Feature, place: Place) -> None:
        self._gone.pop((serial, place), None)
        if self._is_ended(serial):  # while the server was asked
            self._watching.session_ended(serial)
        elif self._add(serial, features, place):
            self._broadcast(_kept(serial, features, [place]))

    def _refused(self, serial: int, place: Place) -> None:
        """Take back what a server told of once, and does not any more: its client knows now."""
        if self._book.has(serial, place):
            self._strike(serial, place)

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
        """Forget a session that was ended, and have the workers do so."""
        self._broadcast({"ended": serial})
        self._book.drop(serial)
        self._watching.session_ended(serial)

    def want_level(self, level: int) -> None:
        """Have all servers log from this severity on, for a client that listens to them all."""
        if self._level is None or level < self._level:
            self._level = level
            self._broadcast({"log_level": level})
            self._watching.lower_level(level)

    def greet(self, link: Link) -> None:
        """Tell a worker that has just come."""
        for serial, page in self._book.pages:
            _send(link, _kept(serial, page.features, list(page.places)))
        if self._level is not None:
            _send(link, {"log_level": self._level})

    def heir(self) -> Link:
        """Make our end of a link to the host of a program that is to take our place."""
        return Link(_unheard, self._heirs.discard, self._greet_heir)

    def _greet_heir(self, link: Link) -> None:
        self._heirs.add(link)
        self.greet(link)
        _send(link, {TOLD: True})

    def inherit(self, event: dict[str, Any]) -> None:
        """Take what the host of the program before ours tells us, its heir.

        Whose clients are there we find out ourselves: what it lets go of for that reason stays. It
        speaks in order: what it says is kept after it was let go is watched anew.
        """
        if "kept" in event:
            serial, features, places = event["kept"]
            if not self._is_ended(serial):
                self._go_on(serial, Feature(features), [(one, uri) for one, uri in places])
        elif "let_go" in event:
            serial, places = event["let_go"]
            for server_id, uri in places:
                self._strike(serial, (server_id, uri))
                self._watching.forget(serial, (server_id, uri))
        elif "ended" in event:
            self.ended(event["ended"])
        elif "log_level" in event:
            self.want_level(event["log_level"])

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
        """Take a worker's copy; it hears what is not so any more, and what it may have missed."""
        gone, known = self._go_on(serial, features, places)
        if gone:
            _send(link, {"let_go": [serial, gone]})
        for place in () if self.starts else known:  # that was told before this worker came
            _send(link, _updated(serial, place))

    def _go_on(
        self, serial: int, features: Feature, places: list[Place]
    ) -> tuple[list[Place], list[Place]]:
        """Have a session go on watching what it did; returns what it has left, and what it does."""
        gone, new, known = list[Place](), list[Place](), list[Place]()
        for place in places:
            if (serial, place) in self._gone or not self._watching.is_known(place[0]):
                gone.append(place)
            else:
                (new if self._add(serial, features, place) else known).append(place)
        if new:
            self._broadcast(_kept(serial, features, new))
            self._watching.watch_again(
                serial, features, new, starts=self.starts, is_wanted=self._book.has,
                refused=self._strike,
            )  # fmt: skip
        return gone, known

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
        for link in (*self._links, *self._heirs):
            _send(link, event)


@dataclass(eq=False, frozen=True, slots=True)
class _Noted(PassingSink):
    """Notes what a server agrees to tell of, and what it refuses."""

    sink: ReplySink
    watched: Callable[[], None]
    refused: Callable[[], None]

    def on_reply(self, reply: Envelope) -> None:
        (self.watched if reply.result_end else self.refused)()
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        if isinstance(error, BackendProtocolError):
            self.refused()
        self.sink.on_failure(error)


def _kept(serial: int, features: Feature, places: list[Place]) -> dict[str, Any]:
    return {"kept": [serial, int(features), places]}


def _updated(serial: int, place: Place) -> dict[str, Any]:
    server_id, uri = place
    params = orjson.dumps({"uri": uri}).decode()
    return {"updated": uri, "params": params, "sessions": [serial], "server": server_id}


def _unheard(link: Link, kind: Kind, token: int, payload: bytes) -> None:
    """Expect nothing of an heir."""


def _send(link: Link, event: dict[str, Any]) -> None:
    link.send(Kind.EVENT, 0, orjson.dumps(event))
