"""What is said to one HTTP backend, in either era, and what it says beside its answers."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any

from only1mcp._speedups import Envelope
from only1mcp.backends.batch import Member
from only1mcp.backends.batcher import Batcher
from only1mcp.backends.call import NOTHING, OnRequest, Outgoing, ReplySink, refuse
from only1mcp.backends.handshake import Hello, discover, judge_probe, wants_another_version
from only1mcp.backends.http_rules import message_of, modern_headers, refuse_outages
from only1mcp.backends.keeper import Alone, Keeper
from only1mcp.backends.opened import Opened
from only1mcp.backends.side_stream import SideStream
from only1mcp.backends.standing import Standing
from only1mcp.errors import BackendError, BackendLost, BackendProtocolError, NoStream
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.cancellation import NOT_CANCELLED, cancellation
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import (
    HttpAnswer,
    OnEvent,
    OnOpen,
    StreamableHttp,
    nothing,
)

_log = logging.getLogger(__name__)
_NO_STREAM = (405, 501)
"""How a server says that it has no stream, now or ever (2025-11-25, basic/transports)."""


class HttpSession(Standing):
    """Sends requests to one URL in either era; opens a legacy session when first needed."""

    def __init__(
        self, name: str, wire: StreamableHttp, handshake_timeout_s: float, tasks: Tasks,
        features: Feature = NOTHING, keeper: Keeper | None = None,
        batcher: Batcher | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, wire, handshake_timeout_s, tasks, keeper or Alone(), features)
        self._batcher = batcher
        self._sending: set[asyncio.Task[None]] = set()

    async def request(self, outgoing: Outgoing, sink: ReplySink | None = None) -> Envelope:
        """Send a request and return the response; the sink hears what comes before it.

        Raises:
            BackendError: there is none.
        """
        if outgoing.era is Era.MODERN:
            passed = SideStream(sink, self._refuse_request)
            answer = await self.post(outgoing, modern_headers(outgoing), None, passed)
            return message_of(self._name, answer)
        opened = await self.open()
        answer = await self._request(opened, outgoing, sink)
        if opened.is_forgotten(answer):
            successor = await self.open(instead_of=opened)
            if successor is not opened:
                answer = await self._request(successor, outgoing, sink)
        return message_of(self._name, answer)

    async def _request(
        self, opened: Opened, outgoing: Outgoing, sink: ReplySink | None
    ) -> HttpAnswer:
        """Send a request on the legacy session; a caller that goes away has it cancelled there."""
        passed = SideStream(sink, lambda reply: self.reply(opened, reply))
        with _counted(opened):
            await self.raise_level(opened, outgoing.level)
            batched = await self._batched(opened, outgoing, sink)
            if batched is not None:
                return batched
            request_id = self.next_id()
            try:
                answer = await self.post(outgoing, opened.headers, None, passed, request_id)
                return await self._read_on(opened, answer, passed)
            except asyncio.CancelledError:
                if outgoing.method not in NOT_CANCELLED:
                    self.reply(opened, cancellation(request_id))
                raise

    async def _batched(
        self, opened: Opened, outgoing: Outgoing, sink: ReplySink | None
    ) -> HttpAnswer | None:
        """Send a request together with others, if that can be; None when it is to go alone."""
        batcher = self._batcher
        if batcher is None or not batcher.takes(opened, opened.hello.version):
            return None
        member = Member(self.next_id(), outgoing, sink)
        try:
            reply = partial(self.reply, opened)
            return await batcher.send(member, opened, opened.headers, reply)
        except asyncio.CancelledError:
            if member.is_sent:
                self.reply(opened, cancellation(member.id))
            raise

    async def resume(self, opened: Opened, broken: HttpAnswer, on_event: OnEvent) -> Envelope:
        """Return the response of a legacy call whose stream broke off.

        Raises:
            BackendError: there is none.
        """
        answer = await self._read_on(opened, broken, on_event)
        return message_of(self._name, answer)

    async def _read_on(self, opened: Opened, answer: HttpAnswer, passed: OnEvent) -> HttpAnswer:
        """Go on with a stream that broke off, as often as it does."""
        while answer.message is None and answer.resume_from is not None:
            answer = await self._resume(opened, answer, passed)
        return answer

    async def _resume(self, opened: Opened, broken: HttpAnswer, passed: OnEvent) -> HttpAnswer:
        """Read on where a stream broke off (2025-11-25, basic/transports, Resumability)."""
        await asyncio.sleep(broken.retry_s)
        headers = {**opened.headers, "Last-Event-ID": broken.resume_from or ""}
        answer = await self._wire.get(headers, passed)
        if answer.status >= 400:
            raise BackendLost(f"server {self._name} does not resume its stream")
        return answer

    def reply(self, opened: Opened, reply: bytes) -> None:
        """Send an answer or a notification on the legacy session that it belongs to."""
        sending = self._tasks.spawn(self._send(opened, reply))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def flushed(self) -> None:
        """Wait until the server has what was sent to it so far beside requests."""
        if self._sending:
            await asyncio.wait(set(self._sending))

    async def _send(self, opened: Opened, message: bytes) -> None:
        try:
            await self._wire.post(message, opened.headers, self._timeout_s)
        except BackendError as error:  # the call that it belongs to fails by itself
            _log.warning("an answer did not arrive: %s", error, extra={"server": self._name})

    def _refuse_request(self, reply: bytes) -> None:
        """Drop the answer to a request that no modern server may send."""
        _log.warning(
            "the server sent a request, which 2026-07-28 does not know",
            extra={"server": self._name, "detail": reply[:200]},
        )

    @property
    def is_exclusive(self) -> bool:
        """Whether the server tells this session from others: it gave it an id."""
        return self.opened is not None and self.opened.session_id is not None

    async def hello(self) -> Hello:
        """Return what the server said when the legacy session was opened.

        Raises:
            BackendError: it could not be opened.
        """
        return (await self.open()).hello

    async def follow(
        self, on_event: OnEvent, on_request: OnRequest = refuse, on_open: OnOpen = nothing
    ) -> bool:
        """Read what a legacy server says outside of any request, until that stream ends.

        Returns whether another session has taken the place of the one that it belonged to.

        Raises:
            NoStream: the server has none.
            BackendError: it cannot be had now.
        """
        opened = await self.open()
        passed = SideStream(None, lambda reply: self.reply(opened, reply), on_event, on_request)
        answer = await self._hold(self._wire.get(opened.headers, passed, on_open))
        if answer is None:
            return True
        if answer.status < 400:
            return False
        if answer.status in _NO_STREAM:
            raise NoStream(f"no stream to follow (HTTP {answer.status})")
        if answer.status in (400, 404):
            await self.confirm(opened.session_id)
        if self.opened is opened:  # 409: the server has not noticed yet that the last one ended
            raise BackendLost(f"server {self._name} has no stream now (HTTP {answer.status})")
        return False  # a server may forget this one as fast

    async def _hold(self, stream: Coroutine[Any, Any, HttpAnswer]) -> HttpAnswer | None:
        """Read a stream to its end; return None when its session is replaced before."""
        loop = asyncio.get_running_loop()
        reading, leaving = loop.create_task(stream), loop.create_task(self._replaced.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            leaving.cancel()

    async def listen(self, outgoing: Outgoing, on_event: OnEvent) -> None:
        """Hold a `subscriptions/listen` of 2026-07-28 until the server ends it.

        Raises:
            BackendError: it cannot be had.
        """
        answer = await self.post(outgoing, modern_headers(outgoing), None, on_event)
        refuse_outages(self._name, answer)
        if answer.message is not None and not answer.message.result_end:
            raise BackendProtocolError(f"server {self._name} refused to be listened to")

    async def notify(self, method: str, params: bytes = b"") -> None:
        """Send a notification on the legacy session.

        Raises:
            BackendError: it did not arrive.
        """
        opened = await self.open()
        body = jsonrpc.notification(method, params)
        await self._wire.post(body, opened.headers, self._timeout_s)

    async def probe(self, *, both: bool) -> Hello:
        """Find out which era the backend speaks; whether it speaks both, only if that is asked.

        Raises:
            BackendError: it cannot be told now; an outage or a refusal is no verdict.
        """
        outgoing = discover()
        answer = await self.post(outgoing, modern_headers(outgoing), self._timeout_s)
        if answer.message is not None and wants_another_version(answer.message):
            headers = modern_headers(outgoing)
            answer = await self.post(outgoing, headers, self._timeout_s)
        refuse_outages(self._name, answer)
        modern = judge_probe(answer.message) if answer.message is not None else None
        if modern is not None and not both:
            return modern
        try:
            legacy: Hello | None = (await self.open()).hello
        except BackendError:
            if modern is None:
                raise
            legacy = None
        if modern is None:
            assert legacy is not None
            return legacy
        return modern.also(Era.LEGACY) if legacy is not None else modern

    async def ping(self, era: Era) -> None:
        """See whether the backend answers.

        Raises:
            BackendError: it does not.
        """
        outgoing = discover() if era is Era.MODERN else Outgoing("ping", b"", Era.LEGACY, safe=True)
        async with asyncio.timeout(self._timeout_s):
            await self.request(outgoing)


@contextlib.contextmanager
def _counted(opened: Opened) -> Iterator[None]:
    """Have a session known as used meanwhile."""
    opened.under_way += 1
    try:
        yield
    finally:
        opened.under_way -= 1
