"""What a modern server says of the tasks that clients watch (SEP-2663, Task Status Notifications).

On a subscription of its own: tasks come and go, and a server that refuses the id of one must not
fall silent about its lists.
"""

import contextlib
from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from dataclasses import replace

import orjson

from only1mcp._speedups import Envelope, elements
from only1mcp.backends.call import Outgoing
from only1mcp.backends.discovery import Asker
from only1mcp.backends.handshake import Hello, modern_request
from only1mcp.errors import BackendError
from only1mcp.host.feed import Feed, Followed, Hearing
from only1mcp.host.watches import Watches
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import fields, without_fields
from only1mcp.protocol.task_members import (
    CHANGED,
    OWN_ID,
    REQUIRED_CAPABILITIES,
    id_at,
    offers_extension,
)
from only1mcp.protocol.versions import Era

_CAPABILITIES = orjson.dumps(REQUIRED_CAPABILITIES)


class TaskWatches:
    """The watched tasks of one server; they outlast its single sessions."""

    def __init__(self, hearing: Hearing) -> None:
        self._watches = Watches()
        self._hearing = replace(hearing, watches=self._watches)
        self._feed: TaskFeed | None = None

    def watch(self, task_id: str, holder: Hashable) -> None:
        """Have a task watched; of too many, the further ones are not."""
        if not self._watches.full and self._watches.add(task_id, holder):
            self._renew()

    def unwatch(self, task_id: str, holder: Hashable) -> None:
        """Take that back."""
        if self._watches.remove(task_id, holder):
            self._renew()

    def drop_link(self, link: object) -> None:
        """Forget the streams of a worker that is gone."""
        if self._watches.drop_link(link):
            self._renew()

    def _renew(self) -> None:
        if self._feed is not None:
            self._feed.renew()

    async def listen(self, session: Followed, asker: Asker, hello: Hello) -> None:
        """Listen on a session until cancelled, if the server has tasks at all."""
        if hello.era is not Era.MODERN or not offers_extension(hello.capabilities):
            return
        self._feed = TaskFeed(self._hearing, session, asker, hello)
        try:
            await self._feed.run()
        finally:
            self._feed = None

    def heard(self, message: Envelope) -> None:
        """Take a notification that came on a channel, where subscriptions have no streams."""
        if self._feed is not None:
            self._feed.heard(message)


class TaskFeed(Feed):
    """Listens for the tasks; what is watched are their ids.

    A client was told that it will hear of its task before we could listen: what a task has become
    by the time that we do is asked for, once, and told as if the server had said it.
    """

    def __init__(self, hearing: Hearing, session: Followed, asker: Asker, hello: Hello) -> None:
        super().__init__(hearing, session, asker, hello)
        self._covered: set[str] = set()
        """The tasks of which nothing was missed since we began to listen."""
        self._asked: set[str] = set()
        """Those that are being asked for, and of which nothing newer was heard."""

    def renew(self) -> None:
        """Listen for what is watched now."""
        self._renew.set()

    async def _listen(self) -> None:
        self._covered.clear()
        await super()._listen()

    def _wanted(self) -> Outgoing | None:
        """Write the subscription; None when no task is watched."""
        if not self._watches.uris:
            return None
        wanted = orjson.dumps({"taskIds": self._watches.uris})
        return modern_request(
            "subscriptions/listen", (("notifications", wanted),), capabilities=_CAPABILITIES
        )

    def _tell_missed(self, heard: AbstractSet[str]) -> None:
        """Tell nothing: tasks are asked for."""

    def heard(self, message: Envelope) -> None:
        """Take a notification."""
        params: bytes = message.body[message.params_start : message.params_end]
        if message.method == "notifications/subscriptions/acknowledged":
            self._acknowledged.set()
            self._catch_up(params)
        elif message.method == CHANGED:
            task_id = id_at(params, OWN_ID)
            if task_id is not None:
                self._asked.discard(task_id)
                self._observer.on_task(self._server_id, task_id, params)

    def _catch_up(self, acknowledged: bytes) -> None:
        listed = fields(fields(acknowledged).get("notifications", b"")).get("taskIds", b"")
        spans = elements(listed) if listed[:1] == b"[" else []
        honoured = {as_string(listed[start:end]) for start, end in spans} - {None}
        missed = [one for one in self._watches.uris if one in honoured - self._covered]
        self._covered = self._covered & honoured | set(missed)
        if missed:
            self._tasks.spawn(self._ask_for(missed))

    async def _ask_for(self, missed: list[str]) -> None:
        self._asked.update(missed)
        for task_id in missed:
            members = (("taskId", orjson.dumps(task_id)),)
            request = modern_request("tasks/get", members, capabilities=_CAPABILITIES)
            request.target = task_id
            with contextlib.suppress(BackendError):
                reply = await self._asker.request(request)
                if reply.result_end and task_id in self._asked:
                    result: bytes = reply.body[reply.result_start : reply.result_end]
                    told = without_fields(result, {"resultType", "_meta"})
                    self._observer.on_task(self._server_id, task_id, told)
            self._asked.discard(task_id)
