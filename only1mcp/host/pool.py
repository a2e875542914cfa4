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
import logging
import time
from collections.abc import Callable, Hashable
from functools import partial

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Cancel, Outgoing, PassingSink, ReplySink
from only1mcp.errors import Only1MCPError, Overloaded
from only1mcp.host.client_streams import ClientStreams
from only1mcp.host.member import NO_TASKS, Member
from only1mcp.host.own_watches import OwnWatches, renew, withdraw
from only1mcp.host.status import Observer
from only1mcp.host.stream_watches import Caller, StreamWatches
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import ELICITED, Feature
from only1mcp.protocol.subscriptions import LIST_CHANGED, SUBSCRIPTIONS, UNSUBSCRIBE, UPDATED
from only1mcp.protocol.task_members import STATUS
from only1mcp.tasks import Tasks

_log = logging.getLogger(__name__)
SESSION_IDLE_S = 600.0
TASK_IDLE_S = 3600.0
"""A session's connection that has carried tasks: they may run on while the client is away. One on
which it watches something stays, until the host has it let go of that."""
SPARE_IDLE_S = 30.0
_SWEEP_S = 5.0

_OF_CLIENT = frozenset({STATUS, ELICITED, "notifications/progress", "notifications/message"})
_SILENT = Observer()


class Pool:
    """The members of one server."""

    def __init__(
        self, server_id: str, make: Callable[[Feature], Member], limit: int, tasks: Tasks,
        observer: Observer = _SILENT,
    ) -> None:  # fmt: skip
        self._server_id = server_id
        self._make = make
        self._limit = limit
        self._tasks = tasks
        self._observer = observer
        self.watches = OwnWatches()
        self.streams = ClientStreams()
        self.beside = StreamWatches(tasks, self._updated)
        self._of_session: dict[int, Member] = {}
        self._owner: dict[Member, int] = {}
        """The session of each connection that is one's."""
        self._spare: list[Member] = []
        self._taken: set[Member] = set()
        self._used: dict[Member, float] = {}
        self._with_tasks: set[Member] = set()
        self._ending: set[Member] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._reviving: dict[int, asyncio.TimerHandle] = {}

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
            member = self.take(outgoing.features, outgoing.principal)
        except Overloaded as error:
            sink.on_failure(error)
            return lambda: None
        released = _Released(sink, partial(self.give_back, member))
        cancel = self.beside.call(member, outgoing, released)
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
        if outgoing.method == UNSUBSCRIBE and outgoing.session not in self._of_session:
            self.watches.noting(outgoing, sink).on_reply(scan(jsonrpc.result(b"0", b"{}")))
            return lambda: None
        member = self._member_of(outgoing.session, outgoing.features)
        if outgoing.own:
            self._with_tasks.add(member)
        if outgoing.method in SUBSCRIPTIONS:
            sink = self.watches.noting(outgoing, sink)
        return member.call(outgoing, sink)

    def _member_of(self, serial: int, features: Feature) -> Member:
        member = self._of_session.get(serial)
        if member is None or member.ended:
            member = self._of_session[serial] = self._new(features)
            self._owner[member] = serial
            member.tell = partial(self._hear, serial, member)
            member.turned = partial(self._turned, serial, member)
            member.keep_questions()
            member.follow_client(self.streams.of(serial, self._server_id))
            self._renew(serial, member)
        self._note(member)
        return member

    def _hear(self, serial: int, member: Member, message: Envelope) -> None:
        """Pass on what is for this client; of all else the host hears on its own connection."""
        method, hearer = message.method or "", self._observer
        if method.endswith(LIST_CHANGED):
            hearer.on_own_lists(self._server_id, serial, member, message)
        elif method in _OF_CLIENT or (method == UPDATED and self.watches.hears(serial, message)):
            hearer.on_said(self._server_id, serial, message)

    def _turned(self, serial: int, member: Member) -> None:
        """Have a session's new connection watch what the one before did."""
        if self._of_session.get(serial) is not member:
            return
        if not member.ended:
            self._renew(serial, member)
        elif self.watches.uris(serial):
            self._end(member)
            self._revive(serial)

    def _renew(self, serial: int, member: Member) -> None:
        uris = self.watches.uris(serial)
        if uris:
            tell = partial(self._observer.on_said, self._server_id, serial)
            self._tasks.spawn(renew(self.watches, serial, uris, member, tell))

    def _revive(self, serial: int) -> None:
        """Make a session's connection again soon: its client waits for what is told there."""
        loop, watching = asyncio.get_running_loop(), self.watches.get(serial)
        if watching is not None and serial not in self._reviving:
            wait_s = watching.policy.ended(time.monotonic())
            self._reviving[serial] = loop.call_later(wait_s, self._make_again, serial)

    def _make_again(self, serial: int) -> None:
        self._reviving.pop(serial, None)
        watching = self.watches.get(serial)
        if watching is None or serial in self._of_session:
            return
        try:
            self._member_of(serial, watching.features)
        except Overloaded as error:  # its next call makes it
            _log.info("not watched: %s", error, extra={"server": self._server_id})

    def watch_again(self, serial: int) -> None:
        """Have a session's connection watch what it did when another host was there."""
        member = self._of_session.get(serial)
        if member is None:
            self._make_again(serial)
        else:
            self._renew(serial, member)

    def resume(self) -> None:
        """Make the connections on which sessions watch something that another pool had."""
        for serial in self.watches.serials:
            self.watch_again(serial)

    def take(self, features: Feature, principal: str = "") -> Member:
        """Return a connection that nobody else uses until it is given back.

        Of several it is the one that the same client used last: what one call has changed at the
        server, the next one finds.

        Raises:
            Overloaded: there are too many already.
        """
        caller = (principal, int(features))
        fit = [
            member for member in self._spare
            if member.features == features and not member.ended
            and self.beside.may_use(member, caller)
        ]  # fmt: skip
        if fit:
            member = max(fit, key=lambda one: (self.beside.is_of(one, caller), self._used[one]))
            self._spare.remove(member)
        else:
            member = self._new(features)
        self._taken.add(member)
        self.beside.use(member, caller)
        self._note(member)
        return member

    def watch(self, caller: Caller, uri: str, holder: Hashable) -> None:
        """Have connections that carried a client's calls watch what a stream of its does."""
        self.beside.add(caller, uri, holder)
        for member in [one for one in self._spare if self.beside.is_of(one, caller)]:
            self._spare.remove(member)
            self._taken.add(member)
            self.give_back(member)

    async def _catch_up(self, member: Member) -> None:
        await self.beside.catch_up(member)
        self.give_back(member)

    def _updated(self, member: Member, caller: Caller, uri: str, params: bytes) -> None:
        if member in self._used:
            self._used[member] = time.monotonic()
        self._observer.on_updated_for(self._server_id, caller, uri, params)

    def give_back(self, member: Member) -> None:
        """Let others use a connection again; one that still does something is ended."""
        if member not in self._taken:
            return
        self._note(member)
        if member.ended or member.busy:
            self._end(member)
        elif self.beside.is_behind(member):
            self._tasks.spawn(self._catch_up(member))
        else:
            self._taken.discard(member)
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
        self._end(min(idle, key=lambda member: (self._is_dear(member), self._used[member])))

    def notify(self, serial: int, method: str) -> None:
        """Tell the server of something that has changed at a session's client."""
        member = self._of_session.get(serial)
        if member is not None:
            member.notify(method)

    def stream_turned(self, serial: int) -> None:
        """Learn that a session's client has another stream, or none any more."""
        member = self._of_session.get(serial)
        if member is not None:
            member.follow_client(self.streams.of(serial, self._server_id))

    def forget(self, serial: int, uri: str) -> None:
        """Have a session watch a resource no more: its client has said so elsewhere."""
        member = self._of_session.get(serial)
        if self.watches.remove(serial, uri) and member is not None:
            self._tasks.spawn(withdraw(uri, member))

    def let_go(self, serial: int) -> None:
        """Have a session watch nothing any more."""
        self.watches.drop(serial)
        timer = self._reviving.pop(serial, None)
        if timer is not None:
            timer.cancel()

    def end_session(self, serial: int) -> None:
        """End the connection of a session that was ended."""
        self.let_go(serial)
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
        self.beside.forget(member)
        self._ending.add(member)
        if member in self._spare:
            self._spare.remove(member)
        serial = self._owner.pop(member, 0)
        if self._of_session.get(serial) is member:
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
            is_idle = not (member.busy or member in self._taken or self._watches(member))
            if member.ended or (is_idle and now - used > self._idle_s(member)):
                self._end(member)
        if self._used:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _idle_s(self, member: Member) -> float:
        if member in self._with_tasks:
            return TASK_IDLE_S
        is_spare = member in self._spare and not self.beside.is_heard(member)
        return SPARE_IDLE_S if is_spare else SESSION_IDLE_S

    def _is_dear(self, member: Member) -> bool:
        """Say whether a connection has what its client would miss: tasks, or what it watches."""
        return member in self._with_tasks or self._watches(member)

    def _watches(self, member: Member) -> bool:
        """Say whether a connection's session watches something there."""
        return self._owner.get(member) in self.watches

    async def close(self) -> None:
        """End all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._reviving:
            self._reviving.popitem()[1].cancel()
        members = list(self._used)
        for member in members:
            self._forget(member)
        await asyncio.gather(*(self._stop(member) for member in members))


class _Released(PassingSink):
    """Gives a connection back when its call has ended."""

    def __init__(self, sink: ReplySink, release: Callable[[], None]) -> None:
        self.under_way = True
        self.sink = sink
        self._release = release

    def on_reply(self, reply: Envelope) -> None:
        self._end()
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        self._end()
        self.sink.on_failure(error)

    def _end(self) -> None:
        self.under_way = False
        self._release()
