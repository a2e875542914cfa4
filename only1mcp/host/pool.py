"""Connections of single clients to a legacy server that may ask its clients something.

On most channels a server's question names no call, so that it can be told whose it is only when the
connection serves one client. A legacy client's session keeps its connection; a modern client, which
has no session, gets one to itself for each call, however many requests the call takes.

Tasks of 2025-11-25 live here too, whether the client can be asked or not. A server binds them to
its session with the client, and lists them by it: on a session that clients share, each would see
the tasks of all, and on those of the workers each call would need the right worker. The host is one
process, which every worker reaches.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, Outgoing, ReplySink, Respond
from only1mcp.backends.handshake import Hello
from only1mcp.errors import Only1MCPError, Overloaded
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import ELICITED, Feature
from only1mcp.protocol.task_members import STATUS
from only1mcp.tasks import Tasks

SESSION_IDLE_S = 600.0
TASK_IDLE_S = 3600.0
"""A session's connection that has carried tasks: they may run on while the client is away."""
SPARE_IDLE_S = 30.0
_SWEEP_S = 5.0


_OF_CLIENT = frozenset({STATUS, ELICITED, "notifications/progress", "notifications/message"})
Tell = Callable[[Envelope], None]
NO_TASKS = jsonrpc.result(b"0", b'{"tasks":[]}')
"""What a session's server lists that has none of its tasks."""


def untold(message: Envelope) -> None:
    """Let pass what a server says to a connection that is no session's."""


class Member(Protocol):
    """One connection."""

    features: Feature
    ended: bool
    tell: Tell
    """Takes notifications that belong to no call."""

    @property
    def pid(self) -> int:
        """Its process; 0 when it has none of ours."""

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""

    async def hello(self) -> Hello:
        """Return what the server said when we met."""

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request."""

    def notify(self, method: str) -> None:
        """Send a notification."""

    def keep_questions(self) -> None:
        """Let questions wait for the next call: all are one client's, for good."""

    async def stop(self) -> None:
        """End the connection."""


def _said_to_nobody(server_id: str, serial: int, message: Envelope) -> None:
    """Let it pass."""


class Pool:
    """The members of one server."""

    def __init__(
        self, server_id: str, make: Callable[[Feature], Member], limit: int, tasks: Tasks,
        on_said: Callable[[str, int, Envelope], None] = _said_to_nobody,
    ) -> None:  # fmt: skip
        self._server_id = server_id
        self._make = make
        self._limit = limit
        self._tasks = tasks
        self._on_said = on_said
        self._of_session: dict[int, Member] = {}
        self._spare: list[Member] = []
        self._taken: set[Member] = set()
        self._used: dict[Member, float] = {}
        self._with_tasks: set[Member] = set()
        self._ending: set[Member] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def pids(self) -> set[int]:
        """The processes of all members."""
        return {member.pid for member in (*self._used, *self._ending)}

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return any(member.busy for member in self._used)

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request on the connection of its client."""
        try:
            if outgoing.session:
                return self._call_of_session(outgoing, sink)
            member = self.take(outgoing.features)
        except Overloaded as error:
            sink.on_failure(error)
            return lambda: None
        released = _Released(sink, partial(self.give_back, member))
        cancel = member.call(outgoing, released)
        return partial(self._abandon, member, released, cancel)

    def _abandon(self, member: Member, released: "_Released", cancel: Cancel) -> None:
        """Cancel a call, and end its connection: what the server asks later is for nobody else."""
        if released.under_way:
            released.under_way = False
            cancel()
            self._end(member)

    def _call_of_session(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        if outgoing.method == "tasks/list" and outgoing.session not in self._of_session:
            sink.on_reply(scan(NO_TASKS))  # not worth a connection
            return lambda: None
        member = self._member_of(outgoing.session, outgoing.features)
        if outgoing.own:
            self._with_tasks.add(member)
        return member.call(outgoing, sink)

    def _member_of(self, serial: int, features: Feature) -> Member:
        member = self._of_session.get(serial)
        if member is None or member.ended:
            member = self._of_session[serial] = self._new(features)
            member.tell = partial(self._hear, serial)
            member.keep_questions()
        self._note(member)
        return member

    def _hear(self, serial: int, message: Envelope) -> None:
        """Pass on what is for this client; of all else the host hears on its own connection."""
        if message.method in _OF_CLIENT:
            self._on_said(self._server_id, serial, message)

    def take(self, features: Feature) -> Member:
        """Return a connection that nobody else uses until it is given back.

        Raises:
            Overloaded: there are too many already.
        """
        for member in self._spare:
            if member.features == features and not member.ended:
                self._spare.remove(member)
                break
        else:
            member = self._new(features)
        self._taken.add(member)
        self._note(member)
        return member

    def give_back(self, member: Member) -> None:
        """Let others use a connection again; one that still does something is ended."""
        if member not in self._taken:
            return
        self._taken.discard(member)
        self._note(member)
        if member.ended or member.busy:
            self._end(member)
        else:
            self._spare.append(member)

    def _new(self, features: Feature) -> Member:
        if len(self._used) >= self._limit:
            self._make_room()
        return self._make(features)

    def _make_room(self) -> None:
        idle = [
            member for member in self._used if not member.busy and member not in self._taken
        ]  # fmt: skip
        if not idle:
            raise Overloaded(
                f"server {self._server_id} serves {self._limit} clients of their own already",
                hint="try again when one of them has left",
            )
        self._end(min(idle, key=lambda member: (member in self._with_tasks, self._used[member])))

    def notify(self, serial: int, method: str) -> None:
        """Tell the server of something that has changed at a session's client."""
        member = self._of_session.get(serial)
        if member is not None:
            member.notify(method)

    def end_session(self, serial: int) -> None:
        """End the connection of a session that was ended."""
        member = self._of_session.get(serial)
        if member is not None:
            self._end(member)

    def _end(self, member: Member) -> None:
        self._forget(member)
        self._tasks.spawn(self._stop(member))

    async def _stop(self, member: Member) -> None:
        try:
            await member.stop()
        finally:
            self._ending.discard(member)

    def _forget(self, member: Member) -> None:
        """Give a connection to nobody any more: it is about to be ended."""
        self._used.pop(member, None)
        self._taken.discard(member)
        self._with_tasks.discard(member)
        self._ending.add(member)
        if member in self._spare:
            self._spare.remove(member)
        for serial in [key for key, value in self._of_session.items() if value is member]:
            del self._of_session[serial]

    def _note(self, member: Member) -> None:
        self._used[member] = time.monotonic()
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """End what was not used for long."""
        self._sweeping = None
        now = time.monotonic()
        for member, used in list(self._used.items()):
            is_idle = not member.busy and member not in self._taken
            if member.ended or (is_idle and now - used > self._idle_s(member)):
                self._end(member)
        if self._used:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _idle_s(self, member: Member) -> float:
        if member in self._with_tasks:
            return TASK_IDLE_S
        return SPARE_IDLE_S if member in self._spare else SESSION_IDLE_S

    async def close(self) -> None:
        """End all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        members = list(self._used)
        for member in members:
            self._forget(member)
        await asyncio.gather(*(self._stop(member) for member in members))


class _Released:
    """Gives a connection back when its call has ended."""

    def __init__(self, sink: ReplySink, release: Callable[[], None]) -> None:
        self.under_way = True
        self._sink = sink
        self._release = release

    def on_message(self, message: Envelope) -> None:
        self._sink.on_message(message)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        self._sink.on_request(message, respond)

    def on_reply(self, reply: Envelope) -> None:
        self._end()
        self._sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        self._end()
        self._sink.on_failure(error)

    def _end(self) -> None:
        self.under_way = False
        self._release()
