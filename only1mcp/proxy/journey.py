"""One message of a client from its arrival to its end: what it is called, answered and logged."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from only1mcp._speedups import REQUEST, Envelope
from only1mcp.auth.principal import ANYONE, Principal
from only1mcp.backends.call import Cancel
from only1mcp.errors import Only1MCPError
from only1mcp.protocol.inbound import claimed_era
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure
from only1mcp.proxy.exchange import Answer, Exchange, Request

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """How a request ended, for metrics and log."""

    request_id: str
    method_index: int
    method: str
    target: str | None
    server_id: str | None
    client: str
    status: str
    seconds: float
    detail: str | None = None
    principal: Principal = ANYONE
    cache: str | None = None
    """How the cache had part in it: `hit`, `joined` or `miss`; None if it had none."""


class Underway(Protocol):
    """What is done for a request, as far as the request has to know."""

    @property
    def server_id(self) -> str:
        """The server that is being asked."""

    def abandon(self) -> None:
        """Stop: the client has gone."""


class Journey:
    """Implements `only1mcp.proxy.call.Outlet`: a call speaks to its client through it."""

    def __init__(
        self, request_id: str, clock: Callable[[], float], record: Callable[[Outcome], None],
        request: Request, exchange: Exchange,
    ) -> None:  # fmt: skip
        self.request_id = request_id
        self.request = request
        self.exchange = exchange
        self.envelope: Envelope | None = None
        """None while the body was not found to be a message."""
        self.call: Underway | None = None
        self.cache = request.cache
        """As in `Outcome`."""
        self._server_id: str | None = None
        """Whose answer was kept that is given."""
        self.on_end: Callable[[], None] = _nothing
        """Called once, when the request has ended."""
        self._clock = clock
        self._record_outcome = record
        self._began = clock()
        self._ended = False

    def safely(self, act: Callable[[], Cancel]) -> Cancel:
        """Let whatever goes wrong be the end of this request, and no more."""
        try:
            return act()
        except Only1MCPError as error:
            return self.fail(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs this request, no more
            _log.exception("a request failed by a mistake of the gateway")
            if self.call is not None:
                self.call.abandon()
            return self.fail(Only1MCPError("internal error", detail=repr(error)))

    def message(self, message: bytes) -> None:
        """Send the client a message before the answer."""
        if not self._ended:
            self.exchange.send(message)

    def finish(self, answer: Answer, status: str = "ok", detail: str | None = None) -> Cancel:
        """Answer; the returned function cancels what has ended already."""
        if not self._ended:
            self._ended = True
            self._record(status, detail)  # who has the answer finds it counted
            self.exchange.answer(answer)
            self._let_go()
        return _nothing

    def give(self, server_id: str, answer: Answer) -> Cancel:
        """Answer with what was kept."""
        self._server_id, self.cache = server_id, "hit"
        return self.finish(answer)

    def fail(self, error: Only1MCPError) -> Cancel:
        """Answer with a failure of ours."""
        envelope = self.envelope
        request_id = envelope.id if envelope is not None and envelope.kind == REQUEST else None
        client = Era.MODERN if envelope is None else claimed_era(envelope, self.request.headers)
        detail = error.detail or str(error)
        return self.finish(failure(request_id, error, client), error.reason, detail)

    def until(self, cancel: Cancel) -> Cancel:
        """Return what to do when the client leaves a stream: that is its proper end."""

        def left() -> None:
            cancel()
            if not self._ended:
                self._ended = True
                self._record("ok", None)

        return left

    def drop(self, error: Only1MCPError) -> None:
        """Answer with a failure, where nobody wants to cancel."""
        self.fail(error)

    def end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        """Answer with what became of the call."""
        if isinstance(outcome, Only1MCPError):
            self.fail(outcome)
        else:
            self.finish(outcome, status)

    def abandon(self) -> None:
        """The client has gone: stop the call, if one is under way."""
        if not self._ended:
            self._ended = True
            if self.call is not None:
                self.call.abandon()
            self._record("cancelled", None)
            self._let_go()

    def _let_go(self) -> None:
        """Tell of the end; and drop what holds us, or only the collector would free it."""
        on_end, self.on_end, self.call = self.on_end, _nothing, None
        on_end()

    def _record(self, status: str, detail: str | None) -> None:
        envelope, call = self.envelope, self.call
        method = METHODS.get(envelope.method or "") if envelope is not None else None
        self._record_outcome(
            Outcome(
                request_id=self.request_id,
                method_index=OTHER_INDEX if method is None else method.index,
                method=(envelope.method or "") if envelope is not None else "",
                target=(envelope.name or envelope.uri) if envelope is not None else None,
                server_id=call.server_id if call is not None else self._server_id,
                client=self.request.client,
                status=status,
                seconds=self._clock() - self._began,
                detail=detail,
                principal=self.request.principal,
                cache=self.cache,
            )
        )


def _nothing() -> None:
    """Cancel what has ended already."""
