"""How calls of the fast lane end that it does not answer itself: with what, and for whom."""

from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.errors import Cancelled, Only1MCPError
from only1mcp.ingress.fast_exchange import whole
from only1mcp.protocol.cancellation import cancellation
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure
from only1mcp.proxy.exchange import Answer
from only1mcp.worker.lane_flights import land
from only1mcp.worker.lane_records import LaneRecords


class LaneEnds:
    """Implements a part of the helper of `only1mcp._speedups.lane_c.Lane`."""

    def __init__(self, lane: Any, records: LaneRecords) -> None:
        self._lane = lane
        self._records = records

    def fail(self, call: Any, error: Only1MCPError) -> None:
        """Answer with a failure."""
        answer = failure(call.envelope.id, error, era_of(call))
        self.end(call, answer, error.reason, error.detail)

    def end(
        self, call: Any, answer: Answer, status: str, detail: str | None = None,
        reply: Envelope | None = None,
    ) -> None:  # fmt: skip
        """Answer the client, and those that have joined its call.

        Args:
            call: is not under way any more.
            answer: for its client.
            status: its metric status.
            detail: for the log.
            reply: what the server said, if it is a result.
        """
        if call.front.transport is not None:
            self._records.ended(call, status, detail)
            self._answer(call, answer)
        else:  # it has gone on for those others
            self._records.attempted(call, status)
        if call.flight is not None:
            land(call, answer, status, reply)

    def _answer(self, call: Any, answer: Answer) -> None:
        if call.exchange is not None:
            call.exchange.answer(answer)
            return
        call.front.write(whole(answer, closes=self._lane.draining))
        call.front.done()

    def goes_on(self, call: Any) -> bool:
        """Let go of a client that does not wait any more; say whether the call goes on for others.

        A client that has cancelled the call is told so.
        """
        if not call.flight.outlives():
            return False
        self._records.left(call, "cancelled")
        if call.front.transport is not None:
            error = Cancelled("the request was cancelled")
            self._answer(call, failure(call.envelope.id, error, era_of(call)))
        return True

    def cancelled(self, call: Any) -> None:
        """Note that the client has gone before the answer."""
        stop(call)
        self._records.ended(call, "cancelled", None)

    def abandoned(self, call: Any) -> None:
        """Note that all have gone: the client, and later those for whom the call went on."""
        stop(call)
        self._records.attempted(call, "cancelled")


def stop(call: Any) -> None:
    """Tell a legacy server that has the call; a modern one understands the broken connection.

    The host tells its servers itself.
    """
    if call.reading is not None:
        call.reading.cancel()
    was_sent = call.upstream_id is not None
    if was_sent and call.plan.opened is not None:
        call.plan.ids.reply(call.plan.opened, cancellation(call.upstream_id))


def era_of(call: Any) -> Era:
    """Return the era of a call's client."""
    return Era.MODERN if call.plan.modern else Era.LEGACY
