"""Our standing with one HTTP backend: its era, and the one session that all calls share."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.backends.call import (
    NOTHING,
    OnRequest,
    Outgoing,
    ReplySink,
    refuse,
)
from only1mcp.backends.handshake import (
    Hello,
    discover,
    initialize,
    judge_probe,
    read_initialize,
    wants_another_version,
)
from only1mcp.backends.http_rules import check_id, message_of, modern_headers, refuse_outages
from only1mcp.backends.side_stream import SideStream
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
)
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.log_levels import LEVELS
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
_CLOSE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Opened:
    """A legacy session that is open; what belongs together is swapped together."""

    hello: Hello
    session_id: str | None
    """None when the backend keeps no sessions."""

    @property
    def headers(self) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": self.hello.version}
        if self.session_id is not None:
            headers["Mcp-Session-Id"] = self.session_id
        return headers

    def is_forgotten(self, answer: HttpAnswer) -> bool:
        """Say whether the backend refused a request because it no longer knows the session.

        Such a request did not run. The status is 404 (2025-11-25, basic/transports, Session
        Management); servers modelled on the TypeScript SDK's examples say 400.
        """
        if self.session_id is None:
            return False
        return answer.status == 404 or (answer.status == 400 and answer.refused)


class HttpSession:
    """Sends requests to one URL in either era; opens a legacy session when first needed."""

    def __init__(
        self, name: str, wire: StreamableHttp, handshake_timeout_s: float, tasks: Tasks,
        features: Feature = NOTHING,
    ) -> None:  # fmt: skip
        self._name = name
        self._wire = wire
        self._handshake_timeout_s = handshake_timeout_s
        self._tasks = tasks
        self._features = features
        self._last_id = 0
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()
        self._levelled: _Opened | None = None
        self._level: int | None = None

    async def request(self, outgoing: Outgoing, sink: ReplySink | None = None) -> Envelope:
        """Send a request and return the response; the sink hears what comes before it.

        Raises:
            BackendError: there is none.
        """
        if outgoing.era is Era.MODERN:
            passed = SideStream(sink, self._refuse_request)
            answer = await self._post(outgoing, modern_headers(outgoing), None, passed)
            return message_of(self._name, answer)
        opened = await self._open()
        answer = await self._request(opened, outgoing, sink)
        if opened.is_forgotten(answer):
            opened = await self._open(instead_of=opened)
            answer = await self._request(opened, outgoing, sink)
        return message_of(self._name, answer)

    async def _request(
        self, opened: _Opened, outgoing: Outgoing, sink: ReplySink | None
    ) -> HttpAnswer:
        """Send a request on the legacy session; a caller that goes away has it cancelled there."""
        passed = SideStream(sink, lambda reply: self._reply(opened, reply))
        await self._raise_level(opened, outgoing)
        request_id = b"%d" % (self._last_id + 1)
        try:
            answer = await self._post(outgoing, opened.headers, None, passed)
            return await self._read_on(opened, answer, passed)
        except asyncio.CancelledError:
            params = b'{"requestId":%b}' % request_id
            self._reply(opened, jsonrpc.notification("notifications/cancelled", params))
            raise

    async def _raise_level(self, opened: _Opened, outgoing: Outgoing) -> None:
        """Have the server log as much as any client wants; each gets what it asked for."""
        level = outgoing.level
        if level is None or "logging" not in opened.hello.capabilities:
            return
        if opened is not self._levelled or self._level is None or level < self._level:
            self._levelled, self._level = opened, level
            params = b'{"level":"%b"}' % LEVELS[level].encode()
            wanted = Outgoing("logging/setLevel", params, Era.LEGACY, safe=True)
            with contextlib.suppress(BackendError):  # the call itself is worth more
                await self._post(wanted, opened.headers, self._handshake_timeout_s)

    async def resume(self, broken: HttpAnswer, on_event: OnEvent) -> Envelope:
        """Return the response of a legacy call whose stream broke off.

        Raises:
            BackendError: there is none.
        """
        answer = await self._read_on(await self._open(), broken, on_event)
        return message_of(self._name, answer)

    async def _read_on(self, opened: _Opened, answer: HttpAnswer, passed: OnEvent) -> HttpAnswer:
        """Go on with a stream that broke off, as often as it does."""
        while answer.message is None and answer.resume_from is not None:
            answer = await self._resume(opened, answer, passed)
        return answer

    async def _resume(self, opened: _Opened, broken: HttpAnswer, passed: OnEvent) -> HttpAnswer:
        """Read on where a stream broke off (2025-11-25, basic/transports, Resumability)."""
        await asyncio.sleep(broken.retry_s)
        headers = {**opened.headers, "Last-Event-ID": broken.resume_from or ""}
        answer = await self._wire.get(headers, passed)
        if answer.status >= 400:
            raise BackendLost(f"server {self._name} does not resume its stream")
        return answer

    def _reply(self, opened: _Opened, reply: bytes) -> None:
        """Send the answer to a request of the server."""
        sending = self._tasks.spawn(self._send(opened, reply))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def flushed(self) -> None:
        """Wait until the server has what was sent to it so far beside requests."""
        if self._sending:
            await asyncio.wait(set(self._sending))

    async def _send(self, opened: _Opened, message: bytes) -> None:
        try:
            await self._wire.post(message, opened.headers, self._handshake_timeout_s)
        except BackendError as error:  # the call that it belongs to fails by itself
            _log.warning("an answer did not arrive: %s", error, extra={"server": self._name})

    def _refuse_request(self, reply: bytes) -> None:
        """Drop the answer to a request that no modern server may send."""
        _log.warning(
            "the server sent a request, which 2026-07-28 does not know",
            extra={"server": self._name, "detail": reply[:200]},
        )

    @property
    def opened(self) -> object | None:
        """The legacy session that is open, as a token to compare; None when none is."""
        return self._opened

    @property
    def opened_headers(self) -> dict[str, str]:
        """The headers that name the open legacy session."""
        return {} if self._opened is None else self._opened.headers

    def reply(self, message: bytes) -> None:
        """Send an answer or a notification on the open legacy session, if there is one."""
        if self._opened is not None:
            self._reply(self._opened, message)

    def take_ids(self, count: int) -> int:
        """Return the first of so many ids that the server has not seen."""
        first = self._last_id + 1
        self._last_id += count
        return first

    def next_id(self) -> bytes:
        """Return an id that the server has not seen, as JSON."""
        self._last_id += 1
        return b"%d" % self._last_id

    @property
    def is_exclusive(self) -> bool:
        """Whether the server tells this session from others: it gave it an id."""
        return self._opened is not None and self._opened.session_id is not None

    async def hello(self) -> Hello:
        """Return what the server said when the legacy session was opened.

        Raises:
            BackendError: it could not be opened.
        """
        return (await self._open()).hello

    async def follow(
        self, on_event: OnEvent, on_request: OnRequest = refuse, on_open: OnOpen = nothing
    ) -> None:
        """Read what a legacy server says outside of any request, until that stream ends.

        Raises:
            BackendError: it cannot be had; a server may have none (405).
        """
        opened = await self._open()
        passed = SideStream(None, lambda reply: self._reply(opened, reply), on_event, on_request)
        answer = await self._wire.get(opened.headers, passed, on_open)
        if opened.is_forgotten(answer):
            await self._open(instead_of=opened)
        elif answer.status >= 400:
            raise BackendProtocolError(f"no stream to follow (HTTP {answer.status})")

    async def listen(self, outgoing: Outgoing, on_event: OnEvent) -> None:
        """Hold a `subscriptions/listen` of 2026-07-28 until the server ends it.

        Raises:
            BackendError: it cannot be had.
        """
        answer = await self._post(outgoing, modern_headers(outgoing), None, on_event)
        if answer.message is not None and not answer.message.result_end:
            raise BackendProtocolError(f"server {self._name} refused to be listened to")

    async def notify(self, method: str, params: bytes = b"") -> None:
        """Send a notification on the legacy session.

        Raises:
            BackendError: it did not arrive.
        """
        opened = await self._open()
        body = jsonrpc.notification(method, params)
        await self._wire.post(body, opened.headers, self._handshake_timeout_s)

    async def probe(self, *, both: bool) -> Hello:
        """Find out which era the backend speaks; whether it speaks both, only if that is asked.

        Raises:
            BackendError: it cannot be told now; an outage or a refusal is no verdict.
        """
        outgoing = discover()
        answer = await self._post(outgoing, modern_headers(outgoing), self._handshake_timeout_s)
        if answer.message is not None and wants_another_version(answer.message):
            headers = modern_headers(outgoing)
            answer = await self._post(outgoing, headers, self._handshake_timeout_s)
        refuse_outages(self._name, answer)
        modern = judge_probe(answer.message) if answer.message is not None else None
        if modern is not None and not both:
            return modern
        try:
            legacy: Hello | None = (await self._open()).hello
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
        async with asyncio.timeout(self._handshake_timeout_s):
            await self.request(outgoing)

    async def close(self) -> None:
        """End the legacy session, if one is open."""
        opened, self._opened = self._opened, None
        if opened is None or opened.session_id is None:
            return
        try:
            await self._wire.delete(opened.headers, _CLOSE_TIMEOUT_S)
        except BackendError as error:
            _log.debug("session not ended: %s", error, extra={"server": self._name})

    async def _open(self, instead_of: _Opened | None = None) -> _Opened:
        """Return the open legacy session; concurrent callers open it once.

        A session that was found forgotten stays in place until its successor is ready.
        """
        opened = self._opened
        if opened is not None and opened is not instead_of:
            return opened
        async with self._opening:
            if self._opened is None or self._opened is instead_of:
                self._opened = await self._initialize()
            return self._opened

    async def _initialize(self) -> _Opened:
        answer = await self._post(initialize(self._features), {}, self._handshake_timeout_s)
        opened = _Opened(read_initialize(message_of(self._name, answer)), answer.session_id)
        await self._wire.post(
            jsonrpc.notification("notifications/initialized"),
            {"Mcp-Method": "notifications/initialized", **opened.headers},
            self._handshake_timeout_s,
        )  # fmt: skip
        return opened

    async def _post(
        self, outgoing: Outgoing, headers: dict[str, str], timeout_s: float | None,
        on_event: OnEvent | None = None,
    ) -> HttpAnswer:  # fmt: skip
        request_id = self.next_id()
        body = jsonrpc.request(request_id, outgoing.method, outgoing.params)
        headers = {"Mcp-Method": outgoing.method, **headers}
        passed = on_event or SideStream(None, self._refuse_request)
        answer = await self._wire.post(body, headers, timeout_s, passed)
        return check_id(self._name, request_id, answer)
