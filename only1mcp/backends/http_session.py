"""Our standing with one HTTP backend: its era, and the one session that all calls share."""

import asyncio
import logging
from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Outgoing
from only1mcp.backends.handshake import (
    Hello,
    discover,
    initialize,
    judge_probe,
    read_initialize,
)
from only1mcp.errors import (
    BackendError,
    BackendLost,
    BackendProtocolError,
    BackendUnreachable,
)
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.headers import encode_value
from only1mcp.protocol.versions import NEWEST_MODERN, Era
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp

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
        self, name: str, wire: StreamableHttp, timeout_s: float, handshake_timeout_s: float
    ) -> None:
        self._name = name
        self._wire = wire
        self._timeout_s = timeout_s
        self._handshake_timeout_s = handshake_timeout_s
        self._last_id = 0
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()

    async def request(self, outgoing: Outgoing) -> Envelope:
        """Send a request and return the response.

        Raises:
            BackendError: there is none.
        """
        if outgoing.era is Era.MODERN:
            answer = await self._post(outgoing, _modern_headers(outgoing), self._timeout_s)
            return self._message(answer)
        opened = await self._open()
        answer = await self._post(outgoing, opened.headers, self._timeout_s)
        if opened.is_forgotten(answer):
            opened = await self._open(instead_of=opened)
            answer = await self._post(outgoing, opened.headers, self._timeout_s)
        return self._message(answer)

    async def probe(self) -> Hello:
        """Find out which eras the backend speaks.

        Raises:
            BackendError: it cannot be told now; an outage or a refusal is no verdict.
        """
        outgoing = discover()
        answer = await self._post(outgoing, _modern_headers(outgoing), self._handshake_timeout_s)
        self._refuse_outages(answer)
        modern = judge_probe(answer.message) if answer.message is not None else None
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
        await asyncio.wait_for(self.request(outgoing), self._handshake_timeout_s)

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
        answer = await self._post(initialize(), {}, self._handshake_timeout_s)
        opened = _Opened(read_initialize(self._message(answer)), answer.session_id)
        await self._wire.post(
            jsonrpc.notification("notifications/initialized"), opened.headers,
            self._handshake_timeout_s,
        )  # fmt: skip
        return opened

    async def _post(
        self, outgoing: Outgoing, headers: dict[str, str], timeout_s: float
    ) -> HttpAnswer:
        self._last_id += 1
        request_id = b"%d" % self._last_id
        body = jsonrpc.request(request_id, outgoing.method, outgoing.params)
        answer = await self._wire.post(body, headers, timeout_s)
        if answer.message is not None and answer.message.id == request_id:
            return answer
        # A refusal bears no id, or one of the server's own: Python servers say "server-error".
        answer.refused = answer.status >= 400
        if not answer.refused and answer.message is not None and answer.message.id is not None:
            raise BackendProtocolError(f"server {self._name} answered another request")
        return answer

    def _message(self, answer: HttpAnswer) -> Envelope:
        self._refuse_outages(answer)
        if answer.message is None:
            raise BackendProtocolError(
                f"server {self._name} answered with HTTP status {answer.status} and no message"
            )
        return answer.message

    def _refuse_outages(self, answer: HttpAnswer) -> None:
        if answer.status in (401, 403) and answer.message is None:
            raise BackendUnreachable(
                f"server {self._name} refuses our credentials (HTTP {answer.status})",
                hint="check the server's headers or auth in the configuration",
            )
        if answer.status in (429, 503):
            raise BackendUnreachable(f"server {self._name} is unavailable (HTTP {answer.status})")
        if answer.status in (502, 504):  # somebody in between gave up; the call may have run
            raise BackendLost(f"server {self._name} is unavailable (HTTP {answer.status})")
        if 300 <= answer.status < 400:
            raise BackendProtocolError(
                f"server {self._name} redirects (HTTP {answer.status})",
                hint="configure the address that it redirects to",
            )


def _modern_headers(outgoing: Outgoing) -> dict[str, str]:
    headers = {"MCP-Protocol-Version": NEWEST_MODERN, "Mcp-Method": outgoing.method}
    if outgoing.target is not None and outgoing.method != "completion/complete":
        headers["Mcp-Name"] = encode_value(outgoing.target)
    return headers
