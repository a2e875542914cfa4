"""What workers tell the host that concerns no call."""

from typing import Any

from only1mcp.host.asides import Asides
from only1mcp.host.lessons import Lessons
from only1mcp.host.roster import Roster
from only1mcp.host.session_desk import SessionDesk
from only1mcp.host.session_watches import SessionWatches
from only1mcp.host.watching import Watching
from only1mcp.links.link import Link
from only1mcp.protocol.client_features import ROOTS_LIST_CHANGED
from only1mcp.tasks import Tasks


class Notes:
    """Brings each note to whom it is for.

    Args:
        roster: the servers.
        desk: shares sessions with the workers.
        sessions: knows what clients' sessions watch.
        lessons: finds out what workers want to know.
        watching: knows what clients' streams watch.
        asides: takes what servers say on the streams of workers' calls.
        tasks: runs what takes time.
    """

    def __init__(
        self, roster: Roster, desk: SessionDesk, sessions: SessionWatches, lessons: Lessons,
        watching: Watching, asides: Asides, tasks: Tasks,
    ) -> None:  # fmt: skip
        self._roster = roster
        self._desk = desk
        self._sessions = sessions
        self._lessons = lessons
        self._watching = watching
        self._asides = asides
        self._tasks = tasks

    def take(self, link: Link, note: dict[str, Any]) -> None:
        """Take a note."""
        if "ended" in note:
            self._sessions.ended(note["ended"])
        elif "roots" in note:
            for server in self._roster.everyone:
                server.pool.notify(note["roots"], ROOTS_LIST_CHANGED)
        elif "sessions_held" in note or "session_left" in note:
            self._desk.take(link, note)
        elif "kept" in note or "alive" in note:
            self._sessions.take(link, note)
        elif "level" in note:
            self._sessions.want_level(note["level"])
        elif "learn" in note:
            self._tasks.spawn(self._lessons.teach(link, note["learn"]))
        elif "aside" in note:
            self._asides.take(*note["aside"])
        else:
            self._watching.take(link, note)
