"""A program of several processes as a worker reaches it: chooses one for each call."""

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Cancel, Outgoing, PassingSink, ReplySink
from only1mcp.backends.host_link import HostLink
from only1mcp.backends.instances import Chosen, Instances
from only1mcp.errors import BackendError, BackendLost, BackendUnreachable, Only1MCPError


def _nothing() -> None:
    """There is nothing to cancel."""


class ReplicatedBackend:
    """Sends each call to one process; to another when the first is not there."""

    def __init__(self, server_id: str, link: HostLink, instances: Instances) -> None:
        self.server_id = server_id
        self.link = link
        self.instances = instances

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; the returned function abandons it."""
        if outgoing.features or outgoing.own:  # it goes to a process of its client's own
            return self.link.call(self.server_id, outgoing, sink)
        tries = _Tries(self, outgoing, sink)
        tries.start()
        return tries.abandon

    async def close(self) -> None:
        """Nothing of ours is open at the server."""


class _Tries(PassingSink):
    """One call, as it goes from one process to the next while that can do no harm."""

    def __init__(self, backend: ReplicatedBackend, outgoing: Outgoing, sink: ReplySink) -> None:
        self._backend = backend
        self._instances = backend.instances
        self._outgoing = outgoing
        self.sink = sink
        self._tried = 0
        self._chosen: Chosen | None = None
        self._cancel: Cancel = _nothing

    def start(self) -> None:
        """Send it to the process that alone knows of it, or to one that is chosen."""
        place, names = self._outgoing.place, self._instances.names
        if not place:
            self._try_next(None)
        elif place in names:
            self._send(self._instances.at(names.index(place)))
        else:
            what = "the process that holds the task is not run any more"
            self.sink.on_failure(BackendUnreachable(what))

    def _try_next(self, last: Only1MCPError | None) -> None:
        try:
            chosen = self._instances.choose(self._outgoing, self._tried)
        except BackendUnreachable as error:
            self.sink.on_failure(last or error)
            return
        if last is not None:
            self._instances.sent_again()
        self._tried |= 1 << chosen.place
        self._send(chosen)

    def _send(self, chosen: Chosen) -> None:
        backend, name = self._backend, self._instances.names[chosen.place]
        self._chosen = chosen
        cancel = backend.link.call(backend.server_id, self._outgoing, self, name)
        if self._chosen is chosen:  # else it has failed already
            self._cancel = cancel

    def abandon(self) -> None:
        """Learn that nobody waits any more."""
        chosen = self._take()
        if chosen is None:
            return
        if self._outgoing.timed_out:
            self._instances.failed(chosen.place, chosen.token, "no answer in time")
        else:
            self._instances.abandoned(chosen)
        self._cancel()

    def _take(self) -> Chosen | None:
        """Count a try as ended, once."""
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            self._instances.ended(chosen)
        return chosen

    def on_reply(self, reply: Envelope) -> None:
        """End with the response."""
        chosen = self._take()
        if chosen is not None:
            self._instances.answered(chosen)
            if reply.result_type == "task":
                self._outgoing.place = self._instances.names[chosen.place]
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Go on with another process, or end."""
        chosen = self._take()
        if chosen is None:
            return
        is_fault = isinstance(error, BackendError) and self._backend.link.is_open
        if is_fault:  # else it is the host that is away, or we asked for too much
            self._instances.failed(chosen.place, chosen.token, error.for_operator())
        else:
            self._instances.abandoned(chosen)
        if is_fault and not self._outgoing.place and self._may_repeat(error):
            self._try_next(error)
        else:
            self.sink.on_failure(error)

    def _may_repeat(self, error: Only1MCPError) -> bool:
        """Say whether the call cannot have run, or may run twice."""
        if isinstance(error, BackendUnreachable):
            return True
        if not isinstance(error, BackendLost) or not self._outgoing.safe:
            return False
        return self._tried.bit_count() < len(self._instances.names) and self._instances.may_repeat()
