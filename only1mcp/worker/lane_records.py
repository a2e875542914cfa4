"""What metrics and log are told of calls in the fast lane; those that go well it counts itself."""

import itertools
from collections.abc import Callable
from typing import Any

from only1mcp.errors import CircuitOpen
from only1mcp.protocol.methods import METHODS
from only1mcp.proxy.journey import Outcome
from only1mcp.proxy.parts import Parts


class LaneRecords:
    """Those of one worker.

    Args:
        parts: take what is to be counted.
        log: takes what was counted already.
        worker: its name, with which those of requests begin.
    """

    def __init__(self, parts: Parts, log: Callable[[Outcome], None], worker: str) -> None:
        self._parts = parts
        self._log = log
        self._worker = worker
        self._numbers = itertools.count(1)

    def log(self, call: Any) -> None:
        """Write a line about a call that went well; it is counted already."""
        self._log(self._outcome(call, "ok", None))

    def log_kept(
        self, front: Any, envelope: Any, server_id: str, caller: Any, seconds: float
    ) -> None:
        """Write a line about an answer that was given again; it is counted already."""
        self._log_short(front, envelope, server_id, caller, seconds, None)

    def log_shut(
        self, front: Any, envelope: Any, server_id: str, caller: Any, seconds: float
    ) -> None:
        """Write a line about a call that an open breaker has refused; it is counted already."""
        error = CircuitOpen.of(server_id, 0)
        self._log_short(front, envelope, server_id, caller, seconds, error)

    def _log_short(
        self, front: Any, envelope: Any, server_id: str, caller: Any, seconds: float,
        error: CircuitOpen | None,
    ) -> None:  # fmt: skip
        """Write a line about a request that no server was asked for."""
        method, name = envelope.method, f"{self._worker}-k{next(self._numbers)}"
        status, detail = ("ok", None) if error is None else (error.reason, str(error))
        self._log(Outcome(
            name, METHODS[method].index, method, envelope.name or envelope.uri, server_id,
            _client(front), status, seconds, detail, caller.principal,
            "hit" if error is None else None,
        ))  # fmt: skip

    def ended(self, call: Any, status: str, detail: str | None) -> None:
        """Count how a call has ended, and with it its client's request."""
        self.attempted(call, status)
        self.left(call, status, detail)

    def attempted(self, call: Any, status: str) -> None:
        """Count a call to a server."""
        seconds = self._parts.clock.monotonic() - call.began
        self._parts.means.on_attempt(call.plan.about[2], status, seconds)

    def left(self, call: Any, status: str, detail: str | None = None) -> None:
        """Count a request whose client has its end; the call itself may go on."""
        self._parts.record(self._outcome(call, status, detail))

    def _outcome(self, call: Any, status: str, detail: str | None) -> Outcome:
        method, _, server_id = call.plan.about
        target = call.envelope.name or call.envelope.uri  # as the client calls it, like everywhere
        number = (call.upstream_id or b"0").decode()  # a call that was never sent has none
        return Outcome(
            f"{self._worker}-f{number}", METHODS[method].index, method, target,
            server_id, _client(call.front), status, self._parts.clock.monotonic() - call.began,
            detail, call.caller.principal, None if call.flight is None else "miss",
        )  # fmt: skip


def _client(front: Any) -> str:
    """Return the address of who is connected."""
    transport = front.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""
