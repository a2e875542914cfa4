"""What the host tells a worker that concerns no call, and the other way round."""

from collections.abc import Callable
from typing import Any

from only1mcp._speedups import scan
from only1mcp.backends.call import Cancel, Outgoing
from only1mcp.backends.host_link import HostLink
from only1mcp.links.wire import STREAM
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.audience import Audience
from only1mcp.proxy.learning import Learning
from only1mcp.proxy.stream_questions import StreamQuestions
from only1mcp.registry.catalogue import Catalogue
from only1mcp.registry.edition import Edition
from only1mcp.sessions.session import Session
from only1mcp.sessions.watch_book import Place
from only1mcp.worker.kept_watches import KeptWatches
from only1mcp.worker.shared_sessions import SharedSessions


class Events:
    """Brings the host's events to those who wait for them."""

    def __init__(self, edition: Edition) -> None:
        self._edition = edition
        self.audience: Audience | None = None
        self.sessions: SharedSessions | None = None
        self.kept: KeptWatches | None = None
        self.on_ended: Callable[[int], None] | None = None
        self.learning: Learning | None = None
        """All are set once they are made: they need the link that these events come from."""

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        if event.get("settled"):
            self._edition.settle()
        elif "variant" in event:
            catalogue = Catalogue.from_plain(event["catalogue"])
            self._offer_some(Feature(event["variant"]), catalogue)
        elif "session" in event or "session_retired" in event or "log_level" in event:
            if self.sessions is not None:
                self.sessions.take(event)
        elif "learned" in event and self.learning is not None:
            self.learning.learned(event["learned"])
        elif "ended" in event:
            self._end(event["ended"])
        elif "kept" in event or "let_go" in event:
            if self.kept is not None:
                self.kept.take(event)
        elif self.audience is not None:
            self._tell(self.audience, event)

    def _end(self, serial: int) -> None:
        """Stop what is done for a session that was ended."""
        if self.kept is not None:
            self.kept.ended(serial)
        if self.on_ended is not None:
            self.on_ended(serial)

    def offer(self, catalogue: Catalogue) -> None:
        """Take what a server offers; who has seen another list of its hears of that."""
        edition, server_id = self._edition, catalogue.server_id
        changed = edition.update(catalogue)
        self._changed(
            changed, server_id, lambda features: not edition.has_variant(features, server_id)
        )

    def _offer_some(self, wanted: Feature, catalogue: Catalogue) -> None:
        """The same of what it offers clients with certain features, found out after the rest."""
        changed = self._edition.update_variant(wanted, catalogue)
        self._changed(changed, catalogue.server_id, lambda features: features == wanted)

    def _changed(
        self, kinds: frozenset[str], server_id: str, concerns: Callable[[Feature], bool]
    ) -> None:
        """Tell of changed lists; before all is known for the first time nobody has seen any."""
        if self.audience is not None and self._edition.settled:
            self.audience.changed(kinds, server_id, concerns)

    @staticmethod
    def _tell(audience: Audience, event: dict[str, Any]) -> None:
        """Tell who listens."""
        if "changed" in event:
            audience.changed(frozenset(event["changed"]), event.get("server", ""))
        elif "updated" in event:
            serials = frozenset(event["sessions"])
            audience.updated(
                event["updated"], event["params"].encode(), serials, event.get("server", ""),
                tuple(event["caller"]) if "caller" in event else None,
            )  # fmt: skip
        elif "watching" in event:
            audience.watching(*event["watching"])
        elif "logged" in event:
            audience.logged(event["logged"].encode(), event.get("server", ""))
        elif "task" in event:
            server_id, task_id = event["task"]
            audience.task_changed(server_id, task_id, event["params"].encode())
        elif "said" in event:
            server_id, serial = event["said"]
            audience.said(server_id, serial, scan(event["message"].encode()))

    def greet(self) -> None:
        """Tell a host that has just come what our streams watch and our clients need."""
        if self.kept is not None:
            self.kept.greet()
        if self.sessions is not None:
            self.sessions.greet()
        if self.audience is not None:
            self.audience.rewatch()
        if self.learning is not None:
            self.learning.ask_again()


class HostWatcher:
    """Implements `only1mcp.proxy.audience.Watcher` over the link to the host."""

    def __init__(self, link: HostLink, asks: Asks, events: Events) -> None:
        self._link = link
        self._asks = asks
        self._events = events

    def attend(
        self, session: Session, send: Callable[[bytes], None], allows: Callable[[str], bool]
    ) -> Cancel:
        """Have a session's stream take what servers ask outside of calls, for as long as it is."""
        questions = StreamQuestions(session, self._asks, send, allows)
        outgoing = Outgoing(STREAM, b"", Era.LEGACY, session=session.serial)
        leave = self._link.call("", outgoing, questions)

        def left() -> None:
            leave()
            questions.close()

        return left

    def watch(self, server_id: str, uri: str, holder: int, caller: tuple[str, int]) -> None:
        """Have a resource watched for one of our streams."""
        self._link.note({"watch": [server_id, uri, holder, *caller]})

    def unwatch(self, server_id: str, uri: str, holder: int) -> None:
        """Take that back."""
        self._link.note({"unwatch": [server_id, uri, holder]})

    def subscribed(self, serial: int) -> list[Place]:
        """Return what a legacy session has subscribed to, as far as the host has told us."""
        kept = self._events.kept
        return [] if kept is None else kept.watched(serial)

    def watch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Have a task watched for one of our streams."""
        self._link.note({"watch_task": [server_id, task_id, holder]})

    def unwatch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Take that back."""
        self._link.note({"unwatch_task": [server_id, task_id, holder]})
