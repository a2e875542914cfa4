"""The tasks of a legacy session at all servers, page by page (2025-11-25, basic/utilities/tasks).

Nothing is kept from one page to the next: a cursor of ours holds the server whose turn it is, and
that server's own cursor.
"""

import asyncio
import logging
from collections.abc import Callable

import orjson

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, Respond, refuse
from only1mcp.errors import BackendTimeout, InvalidParams, Only1MCPError
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields
from only1mcp.protocol.task_members import LIST, OWN_ID, renamed
from only1mcp.protocol.translate import items_of, write_object
from only1mcp.protocol.versions import Era
from only1mcp.proxy.call import Means
from only1mcp.proxy.task_ids import TaskRef
from only1mcp.proxy.task_routing import no_tasks
from only1mcp.registry.snapshot import Snapshot
from only1mcp.sessions.session import Session

PATIENCE_S = 5.0
"""How long one server may take; what it does not list by then is left out."""
_log = logging.getLogger(__name__)


class TaskList:
    """Implements `ReplySink`: asks server after server until a page is full.

    Args:
        inbound: the client's `tasks/list`.
        session: its session.
        snapshot: what there is.
        means: reaches the servers.
        on_page: takes the result.

    Raises:
        MethodNotFound: no server lists tasks for this client.
        InvalidParams: the cursor is none of ours.
    """

    def __init__(
        self, inbound: Inbound, session: Session, snapshot: Snapshot, means: Means,
        on_page: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        if not session.knows_tasks or LIST not in snapshot.core_tasks:
            raise no_tasks(inbound)
        self._session = session
        self._means = means
        self._on_page = on_page
        self._page_size = snapshot.page_size
        self._left = [key for key, one in snapshot.catalogues.items() if LIST in one.core_tasks]
        """The servers that are yet to be asked, or asked on."""
        self._cursor: str | None = None
        """Where the first of them goes on."""
        self._tasks: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._cancel: Cancel = _nothing
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._turn_to(inbound)

    def _turn_to(self, inbound: Inbound) -> None:
        """Go to where the client's cursor points."""
        envelope = inbound.envelope
        raw = fields(envelope.body[envelope.params_start : envelope.params_end]).get("cursor")
        if raw is None:
            return
        ids = self._means.task_ids
        server_id, self._cursor = ids.open_cursor(as_string(raw) or "")
        if server_id not in self._left:
            raise InvalidParams("the cursor is not valid", hint="list again from the start")
        del self._left[: self._left.index(server_id)]

    def start(self) -> None:
        """Ask the server whose turn it is, unless the page is complete."""
        if not self._left or len(self._tasks) >= self._page_size:
            self._on_page(self._page())
            return
        params = write_object([("cursor", orjson.dumps(self._cursor))]) if self._cursor else b""
        session = self._session
        request = Outgoing(
            "tasks/list", params, Era.LEGACY, safe=True, features=session.features,
            session=session.serial, own=True,
        )  # fmt: skip
        self._began = self._loop.time()
        self._timer = self._loop.call_later(PATIENCE_S, self._time_out)
        self._cancel = self._means.hosted[self._left[0]].call(request, self)

    def stop(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        cancel, self._cancel = self._cancel, _nothing
        cancel()

    def on_message(self, message: Envelope) -> None:
        """Let it pass: nobody asked to hear of it."""

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Refuse: a list needs nothing of the client."""
        refuse(message, respond)

    def on_reply(self, reply: Envelope) -> None:
        """Take one page of one server."""
        self._cancel = _nothing
        if not reply.result_end:
            self._skip("error")
            return
        found, following = items_of(reply, "tasks")
        self._tasks += [renamed(task, OWN_ID, self._ours) for task in found]
        self._go_on("ok", None if following == self._cursor else following)

    def on_failure(self, error: Only1MCPError) -> None:
        """Leave the server out."""
        self._cancel = _nothing
        self._skip(error.reason)

    def _time_out(self) -> None:
        self.stop()
        self._skip(BackendTimeout.reason)

    def _skip(self, why: str) -> None:
        _log.info("tasks left out of a list: %s", why, extra={"server": self._left[0]})
        self._go_on(why, None)

    def _go_on(self, status: str, cursor: str | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._means.on_attempt(self._left[0], status, self._loop.time() - self._began)
        self._cursor = cursor
        if cursor is None:
            del self._left[0]
        self._timer = self._loop.call_soon(self.start)  # not at once: an answer may come on the way

    def _ours(self, theirs: str) -> str:
        ref = TaskRef(self._left[0], theirs, self._session.serial)
        return self._means.task_ids.seal(ref)

    def _page(self) -> bytes:
        parts = [("tasks", b"[%b]" % b",".join(self._tasks))]
        if self._left:
            cursor = self._means.task_ids.seal_cursor(self._left[0], self._cursor)
            parts.append(("nextCursor", orjson.dumps(cursor)))
        return write_object(parts)


def _nothing() -> None:
    """There is nothing to stop."""
